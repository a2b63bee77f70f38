"""``gozen hub`` before it becomes JupyterHub: the settings that its options stand for, and what JupyterHub finds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gozen.errors import BadRequest
from gozen_hub.cli_verb import hub
from gozen_hub.hub_settings import VARIABLE, read_hub_settings


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that calls the verb and returns the command line that it becomes."""
    commands: list[list[str]] = []
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command))
    context: Any = SimpleNamespace(obj=SimpleNamespace(settings=lambda: SimpleNamespace(archive=tmp_path / "archive")))

    def start(*users: str) -> list[str]:
        hub(context, settings=None, port=8123, state=tmp_path / "state", test_login=list(users))
        return commands[-1]

    return start


def test_its_options_are_settings(started: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = started("sora", "hoshi")
    assert command[:3] == [sys.executable, "-m", "jupyterhub"]
    found = read_hub_settings(Path(os.environ[VARIABLE]))
    assert (found.where, found.public_url, found.state) == ("machine", "http://localhost:8123", tmp_path / "state")
    assert found.archive.url == str(tmp_path / "archive")
    assert found.login.test is not None
    assert found.login.test.users == {"hoshi", "sora"}
    password = found.login.test.password_file
    assert password.stat().st_mode & 0o077 == 0
    printed = capsys.readouterr()
    assert f"log in as hoshi or sora with the password {password.read_text().strip()}" in printed.out
    assert "each person can read the files of all others" in printed.err


def test_programs_of_its_environment_are_found_without_activation(started: Any) -> None:
    started("hoshi")
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"


def test_accounts_of_the_machine_need_root(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadRequest, match="--test-login NAME"):
        started()
