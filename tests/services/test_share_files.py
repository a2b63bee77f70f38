"""``gozen share put``, ``get`` and ``ls``, as a user at a terminal sees them.

Covered: output, exit code and one-line error of each command, Ctrl-C, and that the same command then continues. Not
covered: transfers (services/test_sharing_transfers.py), the account (services/test_share_command.py).
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from gozen.cli import transfer_bar
from gozen.cli.call import RESUME, run

from .nextcloud_server import Fault, NextcloudServer

Gozen = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NextcloudServer]:
    """Return a server, with the environment of a user of it."""
    monkeypatch.chdir(tmp_path)
    with NextcloudServer(tmp_path / "server", base="/cloud") as running:
        monkeypatch.setenv("GOZEN_SHARING__URL", running.url)
        monkeypatch.setenv("GOZEN_SHARING__USER", "anna")
        monkeypatch.setenv("GOZEN_SHARING__STATE", str(tmp_path / "state"))
        monkeypatch.setenv("GOZEN_SHARING__PATIENCE_S", "0")
        monkeypatch.setenv("GOZEN_SHARING__CHUNK_MB", "5.25")
        monkeypatch.setenv("GOZEN_NEXTCLOUD_PASSWORD", "anna-app-password")
        yield running


@pytest.fixture
def gozen(capsys: pytest.CaptureFixture[str]) -> Gozen:
    """Run ``gozen share`` in this process; return its exit code and the lines on both channels."""

    def call(*words: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = run(["share", *words])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return call


@pytest.fixture
def night(tmp_path: Path) -> Path:
    (tmp_path / "night" / "sub").mkdir(parents=True)
    (tmp_path / "night" / "a.csv").write_bytes(b"1,2")
    (tmp_path / "night" / "sub" / "b.csv").write_bytes(b"1,2,3")
    return tmp_path / "night"


def test_put_ls_and_get(server: NextcloudServer, gozen: Gozen, night: Path) -> None:
    assert gozen("put", "night", "--to", "survey/2026") == (0, ["2 sent (8 B)"], [])
    assert gozen("put", "night", "--to", "survey/2026") == (0, ["2 equal"], [])
    code, out, _ = gozen("ls", "survey/2026/night")
    assert (code, out[0].strip()) == (0, "survey/2026/night")
    assert [line.split("│")[1].strip() for line in out if "│" in line] == ["sub/", "a.csv"]
    assert gozen("get", "survey/2026", "--to", "back") == (0, ["2 fetched (8 B)"], [])
    assert Path("back/2026/night/sub/b.csv").read_bytes() == b"1,2,3"
    assert gozen("get", "survey/2026/night/a.csv") == (0, ["1 fetched (3 B)"], [])
    assert Path("a.csv").read_bytes() == b"1,2"


def test_json_is_for_programs(server: NextcloudServer, gozen: Gozen, night: Path) -> None:
    _, out, _ = gozen("put", "night", "--json")
    found = json.loads("\n".join(out))
    assert {(one["path"], one["state"], one["size"]) for one in found["files"]} == {
        ("night/a.csv", "sent", 3),
        ("night/sub/b.csv", "sent", 5),
    }
    _, out, _ = gozen("ls", "night", "--json")
    assert [(one["name"], one["is_folder"], one["size"]) for one in json.loads("\n".join(out))] == [
        ("sub", True, 0),
        ("a.csv", False, 3),
    ]


def test_one_file_that_fails_is_the_error_of_the_command(server: NextcloudServer, gozen: Gozen, night: Path) -> None:
    gozen("put", "night")
    server.state.file("anna", "night/a.csv").write_bytes(b"theirs")
    (night / "a.csv").write_bytes(b"ours")
    code, out, (line,) = gozen("put", "night")
    assert (code, out) == (64, ["1 equal, 1 failed"])
    assert line.startswith("gozen: CloudConflict: night/a.csv in Nextcloud is not overwritten by night/a.csv: it has")
    assert "--overwrite" in line
    assert gozen("put", "night", "--overwrite") == (0, ["1 sent (4 B), 1 equal"], [])
    assert server.state.file("anna", "night/a.csv").read_bytes() == b"ours"


def test_several_files_that_fail_are_listed(server: NextcloudServer, gozen: Gozen, night: Path) -> None:
    for number in range(12):
        (night / f"{number:02}.").touch()
    code, out, err = gozen("put", "night")
    assert (code, out, len(err)) == (64, ["2 sent (8 B), 12 failed"], 11)
    assert all(line.startswith("failed, UnsuitableName: night/") for line in err[:10])
    assert err[10] == ("gozen: UnsuitableName: 12 of 14 files failed, and the lines above say why; --json lists all 12")


def test_a_terminal_shows_progress(
    server: NextcloudServer, gozen: Gozen, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(transfer_bar, "messages", lambda: Console(file=shown, force_terminal=True, width=100))
    gozen("put", "night")
    assert "sending, 2 files" in shown.getvalue()
    assert "8/8 bytes" in shown.getvalue()
    gozen("get", "night", "--to", "back")
    assert "fetching, 2 files" in shown.getvalue()


def test_trouble_that_may_pass_has_exit_code_75(server: NextcloudServer, gozen: Gozen, night: Path) -> None:
    server.faults.choose = lambda _n, method, _p: Fault.BUSY if method == "PUT" else None
    code, _, err = gozen("put", "night")
    assert code == 75
    assert err[-1].startswith("gozen: CloudUnavailable: cannot upload night/")
    server.faults.choose = lambda *_: None
    assert gozen("put", "night")[:2] == (0, ["2 sent (8 B)"])


def test_a_wrong_app_password_is_said_once(
    server: NextcloudServer, gozen: Gozen, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gozen("put", "night")
    monkeypatch.setenv("GOZEN_NEXTCLOUD_PASSWORD", "revoked")
    for words in (("put", "night"), ("get", "night"), ("ls",)):
        code, _, err = gozen(*words)
        assert code == 64
        assert [line for line in err if "LogInRefused" in line] == err
        assert "app password of anna: it is wrong or was revoked" in err[0]


def test_a_command_that_is_interrupted_continues(server: NextcloudServer, gozen: Gozen, tmp_path: Path) -> None:
    data = os.urandom(3 * 5_250_000)
    (tmp_path / "cube.fits").write_bytes(data)
    server.faults.choose = lambda _n, method, _p: Fault.SILENT if method == "MOVE" else None
    command = [sys.executable, "-m", "gozen", "share", "put", "cube.fits"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.faults.silent.wait(120)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)  # less than the timeout of a request
    assert (running.returncode, out, err) == (130, "", f"gozen: {RESUME}\n")
    server.faults.choose = lambda *_: None
    server.faults.released.set()
    server.faults.log.clear()
    assert gozen("put", "cube.fits") == (0, ["1 sent (15.8 MB)"], [])
    assert [method for method, _ in server.faults.log if method == "PUT"] == []
    assert server.state.file("anna", "cube.fits").read_bytes() == data


def test_what_is_missing_of_the_account_is_said(gozen: Gozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOZEN_SHARING__USER", "anna")
    for name in ("GOZEN_SHARING__URL", "GOZEN_NEXTCLOUD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    code, _, (line,) = gozen("ls")
    assert code == 64
    assert line.startswith("gozen: BadRequest: no account of Nextcloud is known: set sharing.url")
