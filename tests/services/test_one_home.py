"""One home: the lab and Nextcloud show the same files, by one volume.

Covered: shares without a transfer, before and after Nextcloud's scan; both sides write as the owner of the how-to; a
file that one side replaces while the other reads it. Nextcloud is the server of the tests, the volume a folder. Not
here: the values of the chart (unit/test_chart_nextcloud.py); NFS; the dialog (services/test_share_dialog_server.py).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gozen.cli.call import run
from gozen.sharing import connect
from gozen_hub.lab_pods import USER_ID

from .nextcloud_server.external_storage import ExternalStorage
from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer

WRITE = 'echo a line >> "$1"'
MOVE = 'mv "$1" "$1.old" && rm "$1.old"'
SAID = "Nextcloud does not know this file of your home yet; open its folder in Nextcloud, or wait for the next scan"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SharingServer]:
    with SharingServer(tmp_path / "server", [Person("hoshi", "of-hoshi"), Person("sora", "of-sora")]) as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, cloud: SharingServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a file, in the environment of a lab whose hub names the storage."""
    found = tmp_path.resolve() / "home"
    (found / "results").mkdir(parents=True)
    (found / "results" / "lc.csv").write_text("time,flux\n")
    account = cloud.account()
    for name, value in {
        "HOME": str(found),
        "GOZEN_SHARING__HOME_FOLDER": "Lab",
        "GOZEN_SHARING__STATE": str(tmp_path / "state"),
        "GOZEN_SHARING__URL": account.url,
        "GOZEN_SHARING__USER": account.user,
        "GOZEN_NEXTCLOUD_PASSWORD": account.password,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(found / "results")
    return found


@pytest.fixture
def storage(home: Path, cloud: SharingServer) -> ExternalStorage:
    """Return the external storage of that home, which only a scan makes known."""
    return cloud.state.show("hoshi", "Lab", home, checks=False)


def test_a_file_of_the_home_is_shared_without_a_transfer(
    home: Path, storage: ExternalStorage, cloud: SharingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["with", "lc.csv", "sora"], ["link", "lc.csv"], ["list", "lc.csv"]):
        assert run(["share", *words]) == 64
        assert f"cannot share Lab/results/lc.csv: {SAID}" in capsys.readouterr().err
    storage.scan()
    assert run(["share", "with", "lc.csv", "sora"]) == 0
    assert run(["share", "link", str(home / "results"), "--no-qr"]) == 0
    assert {one.path for one in cloud.book.items} == {"/Lab/results/lc.csv", "/Lab/results"}
    assert run(["share", "list", "lc.csv"]) == 0
    said = capsys.readouterr().out
    assert "sora" in said
    assert "anyone with the link" in said
    assert run(["share", "withdraw", "lc.csv", "--user", "sora"]) == 0
    assert [one.path for one in cloud.book.items] == ["/Lab/results"]
    assert not list(cloud.state.uploads("hoshi").iterdir())


def test_a_direct_access_finds_a_new_file_as_the_option_says(
    home: Path, storage: ExternalStorage, cloud: SharingServer
) -> None:
    storage.checks = True
    with connect() as opened:
        path = opened.path_of("lc.csv")
        assert [one.who for one in opened.shares.share_with(path, ["sora"])] == ["sora"]
    (home / "results" / "new.csv").write_text("1")
    assert run(["share", "with", "new.csv", "sora"]) == 0


def test_a_path_that_is_not_a_file_of_the_home_is_one_in_nextcloud(
    home: Path, storage: ExternalStorage, cloud: SharingServer
) -> None:
    cloud.put("hoshi", "lc.csv")
    cloud.put("hoshi", "survey/lc.csv")
    for path in ("/lc.csv", "survey/lc.csv"):
        assert run(["share", "with", path, "sora"]) == 0
    assert [one.path for one in cloud.book.items] == ["/lc.csv", "/survey/lc.csv"]


def test_both_sides_change_files_as_the_owner_of_the_how_to_and_nobody_else_does() -> None:
    # Only root can act as the lab and as Nextcloud; without it, both are the user of the tests.
    lab, other = (USER_ID, 33) if os.geteuid() == 0 else (os.geteuid(), None)
    with tempfile.TemporaryDirectory() as volume:
        Path(volume).chmod(0o755)
        os.chown(volume, lab, lab if other else -1)
        file = Path(volume) / "results.csv"

        def act(user: int, script: str) -> int:
            who: Any = {"user": user, "group": user, "extra_groups": []} if other else {}
            return subprocess.run(["sh", "-c", script, "sh", file], umask=0o022, stderr=-3, **who).returncode

        assert act(lab, WRITE) == 0
        assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (lab, 0o644)
        if other:  # a web server without the mapping of the export
            assert (act(other, WRITE), act(other, MOVE)) != (0, 0)
            assert file.read_text() == "a line\n"
        assert act(lab, WRITE) == 0  # Nextcloud, whose requests the export maps to this owner
        assert file.read_text() == "a line\na line\n"
        assert act(lab, MOVE) == 0
        assert not file.exists()


def test_a_file_that_is_replaced_while_it_is_read_is_whole_on_both_sides(
    home: Path, storage: ExternalStorage, tmp_path: Path
) -> None:
    storage.checks = True
    file = home / "results" / "big.bin"
    file.write_bytes(b"a" * 3_000_000)
    newer = tmp_path / "laptop" / "big.bin"
    newer.parent.mkdir()
    newer.write_bytes(b"b" * 3_000_000)
    with file.open("rb") as reader, connect() as cloud:
        first = reader.read(1000)
        cloud.put(newer, to="Lab/results", overwrite=True)
        assert first + reader.read() == b"a" * 3_000_000
        assert file.read_bytes() == newer.read_bytes()
        inode = file.stat().st_ino
        replacement = home / "results" / "big.bin.new"  # as the how-to advises notebooks
        replacement.write_bytes(b"c" * 3_000_000)
        replacement.rename(file)
        assert file.stat().st_ino != inode
        cloud.get("Lab/results/big.bin", to=tmp_path / "laptop", overwrite=True)
    assert newer.read_bytes() == b"c" * 3_000_000
