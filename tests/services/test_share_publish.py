"""``gozen share publish`` and ``unpublish``: a reduced night appears in Nextcloud as colleagues read it.

Covered: the table part, plots and page of a night and of single exposures, equal files of a second run, what the verb
prints and its exit codes, a command that is killed, the commands of the operator's Jobs. Not covered: shares and
interruptions at each request (services/test_publish_folder.py).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from tests.cluster.certificates import Authority

from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.cli.call import run
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.sharing import installed
from gozen_operator.operator_settings import OperatorSettings, PublishSettings
from gozen_operator.process.read_sources import published_by
from gozen_operator.reconcile.facts import PodEnd, PublishResult
from gozen_operator.reconcile.publish_manifests import CA_MOUNT, NEXTCLOUD_MOUNT, publish_job, unpublish_job
from gozen_operator.reconcile.sensor_outcome import end_of

from .nextcloud_server import Fault
from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer

NIGHT = "20260115"
Gozen = Callable[..., tuple[int, str, str]]
WORDS = ("publish", NIGHT, "--run", "r1", "--folder", "Survey/M31", "--name", "kiso/tonight")


@pytest.fixture
def server(tmp_path: Path, reduced: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharingServer]:
    """Return a server, with the environment of a pod that publishes from the archive of a reduced night."""
    with SharingServer(tmp_path / "server", [Person("observatory", "x"), Person("sora", "x")]) as found:
        account = found.account("observatory")
        (tmp_path / "password").write_text(f"{account.password}\n")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GOZEN_ARCHIVE", str(reduced / "archive"))
        monkeypatch.setenv("GOZEN_SHARING__URL", account.url)
        monkeypatch.setenv("GOZEN_SHARING__USER", account.user)
        monkeypatch.setenv("GOZEN_SHARING__PASSWORD_FILE", str(tmp_path / "password"))
        monkeypatch.setenv("GOZEN_SHARING__PATIENCE_S", "0")
        monkeypatch.setenv("GOZEN_SHARING__STATE", str(tmp_path / "state"))
        yield found


@pytest.fixture
def gozen(capsys: pytest.CaptureFixture[str]) -> Gozen:
    """Run ``gozen share`` in this process, and return its exit code and what it printed on both channels."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["share", *words])
        return (code, *capsys.readouterr())

    return call


def folder(server: SharingServer) -> Path:
    return server.state.file("observatory", "Survey/M31")


def names(server: SharingServer) -> list[str]:
    return sorted(one.name for one in folder(server).iterdir())


def test_a_night_appears_as_table_plots_and_page(
    server: SharingServer, gozen: Gozen, reduced: Path, tmp_path: Path
) -> None:
    code, out, err = gozen(*WORDS, "--user", "sora", "--link", "--result", "result.json")
    link = f"{server.url}/s/{server.book.items[-1].token}"
    assert (code, out, err) == (0, f"Survey/M31: 5 sent, 0 equal\n{link}\n", "")
    said = json.loads((tmp_path / "result.json").read_text())
    wanted = {"folder": "Survey/M31", "link": link, "files": 5, "kept": 0, "removed": 0, "withdrawn": 0}
    assert {name: said[name] for name in wanted} == wanted
    ends = ("-light-curves.png", "-scatter.png", ".csv", ".html", ".parquet")
    assert names(server) == [f"tonight{end}" for end in ends]
    table = open_catalog(open_store(reduced / "archive"), "lightcurves").table()
    rows = pq.read_table(folder(server) / "tonight.parquet")
    assert rows.num_rows == table.num_rows > 1000
    assert rows.schema.field("mag").metadata[b"unit"] == b"mag"
    order = [("source_id", "ascending"), ("mjd", "ascending")]
    wanted = table.select(rows.column_names).cast(rows.schema).sort_by(order)
    for name in ("source_id", "mjd", "flux", "mag", "flags", "exposure", "filter"):
        assert pc.all(pc.fill_null(pc.equal(rows.sort_by(order)[name], wanted[name]), True)).as_py()
    text = pv.read_csv(folder(server) / "tonight.csv")
    assert (text.num_rows, text.column_names) == (rows.num_rows, rows.column_names)
    assert all(
        (folder(server) / f"tonight-{one}.png").read_bytes().startswith(b"\x89PNG")
        for one in ("scatter", "light-curves")
    )
    page = (folder(server) / "tonight.html").read_text()
    assert f"<td>Nights</td><td>{NIGHT}</td>" in page
    assert f"{rows.num_rows:,}" in page
    assert '<img src="tonight-scatter.png"' in page
    server.faults.log.clear()
    assert gozen(*WORDS, "--user", "sora", "--link")[:2] == (0, f"Survey/M31: 0 sent, 5 equal\n{link}\n")
    assert "PUT" not in {method for method, _ in server.faults.log}
    remove = ("unpublish", *WORDS[4:], "--result", "result.json")
    assert gozen(*remove)[1] == "Survey/M31: 5 files removed, 2 shares withdrawn\n"
    said = json.loads((tmp_path / "result.json").read_text())
    assert (said["found"], said["removed"], said["withdrawn"], said["kept"]) == (True, 5, 2, 0)
    assert list(folder(server).iterdir()) == []
    assert "Survey/M31: no folder or note found for kiso/tonight" in gozen(*remove)[1]
    said = json.loads((tmp_path / "result.json").read_text())
    assert (said["found"], said["removed"], said["withdrawn"]) == (False, 0, 0)


def test_only_the_rows_of_the_selected_exposure(server: SharingServer, gozen: Gozen, reduced: Path) -> None:
    table = open_catalog(open_store(reduced / "archive"), "lightcurves").table(["exposure"])
    exposure = str(pc.min(table["exposure"].cast(pa.string())).as_py())
    assert gozen("publish", "--exposure", exposure, "--folder", "One", "--name", "one")[0] == 0
    rows = pq.read_table(server.state.file("observatory", "One/one.parquet"), columns=["exposure"])
    assert pc.unique(rows["exposure"]).to_pylist() == [exposure]
    assert 0 < rows.num_rows == pc.sum(pc.equal(table["exposure"], exposure)).as_py() < table.num_rows


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--folder", "a.", "--name", "x", NIGHT), 64, "UnsuitableName: the name 'a.' ends with a dot"),
        (("--folder", "a", "--name", "x/", NIGHT), 64, "UnsuitableName: '' cannot be the name"),
        (("--folder", "a", "--name", "x"), 64, "BadRequest: nothing is selected to publish"),
        (("--folder", "a", "--name", "x", "19990101"), 64, "BadRequest: no selected exposure is reduced"),
        (("--folder", "a", "--name", "x", NIGHT, "--link-days", "3"), 64, "BadRequest: --link-days and"),
        (("--folder", "a", "--name", "x", NIGHT, "--link-password-file", "no"), 64, "cannot read the password of"),
        (("--folder", "a", "--name", "x", NIGHT, "--table", "other"), 65, "MissingObject: "),
    ],
)  # fmt: skip
def test_what_cannot_be_published_is_one_line(
    server: SharingServer, gozen: Gozen, words: tuple[str, ...], code: int, says: str
) -> None:
    found, out, err = gozen("publish", *words)
    assert (found, out, len(err.splitlines())) == (code, "", 1), err
    assert says in err


def test_too_many_rows_are_refused_before_anything_is_sent(
    server: SharingServer, gozen: Gozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOZEN_SHARING__PUBLISH_ROWS", "1000")
    code, _, err = gozen(*WORDS)
    assert (code, "more than 1,000 rows of the table lightcurves" in err) == (64, True)
    assert {method for method, _ in server.faults.log} == {"PROPFIND"}


def test_a_revoked_password_is_known_before_the_table_is_read(
    server: SharingServer, gozen: Gozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gozen.publication.make_files.make_files", lambda *_: pytest.fail("the table is read"))
    server.faults.choose = lambda *_: Fault.REVOKED
    code, _, err = gozen(*WORDS)
    assert (code, "LogInRefused: " in err, len(server.faults.log)) == (64, True, 1)


def test_a_server_that_is_down_is_an_error_of_storage_and_a_revoked_password_is_not(
    server: SharingServer, gozen: Gozen
) -> None:
    server.faults.choose = lambda *_: Fault.MAINTENANCE
    code, _, err = gozen(*WORDS)
    assert (code, "CloudUnavailable: " in err, "maintenance" in err) == (75, True, True)
    server.faults.choose = lambda *_: Fault.REVOKED
    code, _, err = gozen(*WORDS)
    assert (code, "LogInRefused: " in err) == (64, True)


def test_the_link_is_in_the_result_although_a_share_is_refused(
    server: SharingServer, gozen: Gozen, tmp_path: Path
) -> None:
    """The last line is the one that the operator reads: the file is the termination message of the pod."""
    code, out, err = gozen(*WORDS, "--user", "soar", "--link", "--result", "result.json")
    link = f"{server.url}/s/{server.book.items[-1].token}"
    said, line = (tmp_path / "result.json").read_text().splitlines()
    assert (code, json.loads(said)["link"], json.loads(said)["files"]) == (64, link, 5)
    assert (out, line) == ("", err.strip())
    assert "CloudPathNotFound: cannot share Survey/M31 with the user soar" in line
    assert end_of(PodEnd(0, code, "Error", f"{said}\n{line}"))[0] == "CloudPathNotFound"
    message = {"exitCode": code, "message": f"{said}\n{line}"}
    report = published_by([{"status": {"containerStatuses": [{"state": {"terminated": message}}]}}])
    assert report == PublishResult("Survey/M31", link, 5, found=False, settled=True)


def test_files_that_were_kept_are_in_the_result(server: SharingServer, gozen: Gozen, tmp_path: Path) -> None:
    assert gozen(*WORDS, "--user", "sora")[0] == 0
    (folder(server) / "tonight.csv").write_text("a remark of Sora")
    assert gozen(*WORDS, "--result", "result.json")[0] == 64
    said = json.loads((tmp_path / "result.json").read_text().splitlines()[0])
    assert (said["files"], said["kept"], said["withdrawn"], said["settled"]) == (4, 1, 1, True)


def test_pods_have_neither_a_keyring_nor_qr_codes(
    server: SharingServer, gozen: Gozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image of pods has `httpx` and `defusedxml` only."""
    find, missing = importlib.util.find_spec, ("keyring", "segno")
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name in missing else find(name))
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert gozen(*WORDS, "--user", "sora", "--link")[0] == 0
    assert gozen("unpublish", *WORDS[4:])[0] == 0
    assert "needs keyring and segno" in gozen("list")[2]


def test_the_pods_of_the_operator_publish_and_remove(tmp_path: Path, reduced: Path) -> None:
    """Run the commands of both Jobs with their environment alone, the mounts in another folder."""
    mounts = {NEXTCLOUD_MOUNT: tmp_path / "secret", CA_MOUNT: tmp_path / "ca", "/dev": tmp_path / "dev"}
    for folder in mounts.values():
        folder.mkdir()
    authority = Authority(tmp_path / "authority")
    tls = authority.server("cloud", ["127.0.0.1"], [])
    with SharingServer(tmp_path / "server", [Person("observatory", "x"), Person("sora", "x")], tls=tls) as server:
        (mounts[NEXTCLOUD_MOUNT] / "password").write_text(server.account("observatory").password)
        (mounts[NEXTCLOUD_MOUNT] / "link-password").write_text("correct horse")
        (mounts[CA_MOUNT] / "ca.pem").write_text(authority.certificate.read_text())
        publish = PublishSettings(url=server.url, user="observatory", secret="s", ca_map="c")
        settings = OperatorSettings(publish=publish)
        request = {"folder": "Survey/$(M31)", "users": ["sora"], "link": True, "linkDays": 3, "linkPassword": True}
        job = LightCurveJob.model_validate({
            "apiVersion": "gozen.astro/v1alpha1", "metadata": {"name": "tonight", "namespace": "kiso", "uid": "u"},
            "spec": {"selection": {"night": NIGHT}, "publish": request},
        })  # fmt: skip
        said = [
            run_as_pod(manifest, mounts, reduced)
            for manifest in (publish_job(job, settings), unpublish_job(job, settings))
        ]
        published, removed = (published_by([succeeded(text)]) for text in said)
    assert published is not None
    assert (published.folder, published.files) == ("Survey/$(M31)", 5)
    assert published.link.startswith(f"{server.url}/s/")
    assert removed == PublishResult("Survey/$(M31)", "", 0, removed=5, withdrawn=2)
    assert server.book.items == []


def run_as_pod(manifest: dict[str, Any], mounts: Mapping[str, Path], reduced: Path) -> str:
    """Run the command of a Job; return its termination message."""
    (container,) = manifest["spec"]["template"]["spec"]["containers"]

    def here(text: str) -> str:
        for mount, folder in sorted(mounts.items(), reverse=True):
            text = text.replace(f"{mount}/", f"{folder}/")
        return text

    environment = {one["name"]: here(one["value"]) for one in container["env"]}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    environment |= {"HOME": str(mounts["/dev"]), "GOZEN_ARCHIVE": str(reduced / "archive")}
    program = Path(sys.executable).parent / "gozen"
    words = [here(one).replace("$$", "$") for one in container["args"]]  # Kubernetes makes one dollar of two
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return (mounts["/dev"] / "termination-log").read_text()


def succeeded(message: str) -> dict[str, Any]:
    """Return a pod that has ended with a message."""
    return {"status": {"containerStatuses": [{"state": {"terminated": {"exitCode": 0, "message": message}}}]}}


def test_a_command_that_is_killed_is_run_again(server: SharingServer, gozen: Gozen) -> None:
    server.faults.choose = lambda _, method, path: Fault.SILENT if (method, path[-4:]) == ("PUT", ".csv") else None
    process = subprocess.Popen([Path(sys.executable).parent / "gozen", "share", *WORDS])
    try:
        assert server.faults.silent.wait(120)
    finally:
        process.kill()
        process.wait()
    server.faults.choose = lambda *_: None
    server.faults.released.set()
    assert "tonight.csv" not in names(server)
    assert gozen(*WORDS)[1] == "Survey/M31: 4 sent, 1 equal\n"
