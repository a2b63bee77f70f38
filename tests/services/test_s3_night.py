"""A night with an archive on S3, on the command line: the same commands give the same objects as in a directory.

Covered: simulate, masters, run, reduce, night append, watch, look-ups and the commands of the archive, with worker
processes; a server that stops and a run that is killed; wrong credentials and buckets with their exit codes. Not
covered: the store itself (test_s3).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.free_ports import free_port

from gozen.archive.stores.s3_store import S3Store
from gozen.catalog import open_catalog

from .conftest import NIGHT
from .s3_server import S3Server, s3_server
from .test_night_by_command import start, wait_until_gone
from .test_watch import QUICK

Command = Callable[..., object]
pytestmark = pytest.mark.xdist_group("s3 night")


def on_disk(folder: Path) -> dict[str, bytes]:
    """Return every object of an archive in a directory."""
    root = folder / "archive"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def on_s3(store: S3Store) -> dict[str, bytes]:
    """Return every object of an archive on S3."""
    return {key: store.read(key) for key in store.list("")}


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def bucket(s3: S3Server, environment: pytest.MonkeyPatch) -> S3Store:
    """Return an archive on S3 that the commands of this module use where they are not told another."""
    url = f"s3://{s3.bucket('night')}/a/prefix"
    environment.setenv("GOZEN_ARCHIVE", url)
    return s3.store(url)


@pytest.fixture(scope="module")
def night_on_s3(bucket: S3Store, simulated: Path, tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """Return a folder whose settings name a night on S3, made from the first command to the last."""
    folder = tmp_path_factory.mktemp("on-s3")
    shutil.copyfile(simulated / "recipe.yaml", folder / "recipe.yaml")
    command("simulate", "recipe.yaml", "--night", NIGHT, "--sensors", "111,112", cwd=folder)
    command("masters", cwd=folder)
    command("run", "recipe.yaml", cwd=folder)
    command("night", "append", NIGHT, cwd=folder)
    return folder


def test_the_night_is_the_same_bit_by_bit(night_on_s3: Path, bucket: S3Store, reduced: Path) -> None:
    mine, theirs = on_s3(bucket), on_disk(reduced)
    assert sorted(mine) == sorted(theirs)
    assert [key for key in mine if mine[key] != theirs[key]] == []
    assert [path for path in night_on_s3.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    "words",
    [
        ["lightcurve", "--ra", "19.75", "--dec", "29.71", "--radius", "500", "--csv"],
        ["exposures", "--csv"],
        ["quality", "--csv"],
        ["tracklets", "--csv"],
    ],
    ids=lambda words: words[0],
)
def test_what_is_looked_up_is_the_same(
    night_on_s3: Path, reduced: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    mine = command(*words, cwd=night_on_s3).stdout
    monkeypatch.delenv("GOZEN_ARCHIVE")
    assert mine == command(*words, cwd=reduced).stdout
    assert mine.count("\n") > 1 or words[0] == "tracklets"


def test_the_archive_s_own_verbs_work(night_on_s3: Path, bucket: S3Store, command: Command) -> None:
    said = command("archive", "verify", cwd=night_on_s3).stdout
    assert "all as committed" in said
    said = command("archive", "info", cwd=night_on_s3).stdout
    assert bucket.url in said
    assert re.search(r"raw .* 12 ", said)
    assert "8 raw files" in command("archive", "expire", "--dry-run", cwd=night_on_s3).stdout
    assert "0 half-written" in command("archive", "sweep", cwd=night_on_s3).stdout
    assert "can be read and written" in command("doctor", cwd=night_on_s3, check=False).stdout
    star = str(open_catalog(bucket, "lightcurves").table(["source_id"])["source_id"][0])
    assert star in command("lightcurve", "--id", star, cwd=night_on_s3).stdout


def test_reduced_again_nothing_is_written_over(night_on_s3: Path, bucket: S3Store, command: Command) -> None:
    before = on_s3(bucket)
    said = command("reduce", NIGHT, "--run", "r2", cwd=night_on_s3).stdout
    assert "4 reduced, 0 rejected, 0 failed" in said
    after = on_s3(bucket)
    made = set(after) - set(before)
    assert {key.split("/")[3] for key in made} == {"r2"}
    assert {key for key in before if before[key] != after[key]} <= {key for key in before if key.startswith("tables/")}


def test_a_watched_folder_fills_it_as_gozen_run_does(
    s3: S3Server, simulated: Path, reduced: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3.store(f"s3://{s3.bucket('watched')}")
    monkeypatch.setenv("GOZEN_ARCHIVE", store.url)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "incoming").mkdir()
    for path in (simulated / "archive" / "raw").rglob("*.fits"):
        shutil.copyfile(path, tmp_path / "incoming" / path.name)
    fill(store, simulated, "truth/")
    command("watch", "incoming", "--once", "--recipe", simulated / "recipe.yaml", cwd=tmp_path)
    made = ("raw", "calib", "exposures", "stack", "staging", "tables")
    mine, theirs = (
        {key: data for key, data in one.items() if key.split("/")[0] in made}
        for one in (on_s3(store), on_disk(reduced))
    )
    assert mine == theirs
    assert list((tmp_path / "incoming").rglob("*.fits")) == []


def fill(store: S3Store, folder: Path, prefix: str = "") -> None:
    """Put an archive's objects into another one."""
    for key, data in on_disk(folder).items():
        if key.startswith(prefix):
            store.write(key, data)


def test_a_run_outlives_its_server_and_a_kill(
    simulated: Path, reduced: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(simulated / "recipe.yaml", tmp_path / "recipe.yaml")
    port = free_port()
    with s3_server(tmp_path / "server", port) as server:
        for name, value in {**server.environment, "GOZEN_STORAGE__ATTEMPTS": "2"}.items():
            monkeypatch.setenv(name, value)
        store = server.store(f"s3://{server.bucket('shaky')}")
        monkeypatch.setenv("GOZEN_ARCHIVE", store.url)
        fill(store, simulated)
        run = start(tmp_path, "run", "recipe.yaml")
        wait_for_commits(server, 1, run)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 75
    assert "StorageUnavailable" in said
    assert "Traceback" not in said
    with s3_server(tmp_path / "server", port) as server:
        done = len(commits(server))
        run = start(tmp_path, "run", "recipe.yaml")
        wait_for_commits(server, done + 1, run)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        wait_until_gone(run.pid)
        command("run", "recipe.yaml", cwd=tmp_path)
        command("night", "append", NIGHT, cwd=tmp_path)
        mine, theirs = on_s3(store), on_disk(reduced)
        assert sorted(mine) == sorted(theirs)
        assert [key for key in mine if mine[key] != theirs[key]] == []


def commits(server: S3Server) -> list[Path]:
    return list(server.folder.glob("shaky/exposures/*/0000000[34]/*/*.json"))


def wait_for_commits(server: S3Server, count: int, process: object) -> None:
    """Return as soon as so many sensors of the sky are committed; fail when the run ends before."""
    while len(commits(server)) < count:
        assert process.poll() is None, process.communicate()
        os.sched_yield()


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, 75, "the server does not accept the credentials"),
        ({"GOZEN_ARCHIVE": "s3://no-such-bucket"}, 64, "there is no such bucket; create it, or give another archive"),
        ({"GOZEN_STORAGE__ENDPOINT_URL": "http://127.0.0.1:9"}, 75, "check storage.endpoint_url"),
        ({"GOZEN_STORAGE__ENDPOINT_URL": "127.0.0.1:9"}, 64, "storage.endpoint_url"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 64, "set AWS_ACCESS_KEY_ID"),
        ({"GOZEN_REFERENCE": "s3://night/no-stars.csv"}, 65, "UnreadableInput"),
    ],
    ids=["wrong secret", "no bucket", "no server", "no address", "no credentials", "no reference"],
)
def test_trouble_has_a_name_and_an_exit_code(
    night_on_s3: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    code: int,
    said: str,
) -> None:
    for name, value in {"GOZEN_STORAGE__ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true", **changes}.items():
        monkeypatch.setenv(name, value)
    done = command("reduce", NIGHT, "--run", "refused", cwd=night_on_s3, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
