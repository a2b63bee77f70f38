"""Test ``gozen hub`` before it starts JupyterHub: the settings from its options, and the files that JupyterHub gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gozen.errors import BadRequest
from gozen.settings import load_settings
from gozen_hub.cli_verb import hub
from gozen_hub.hub_settings import VARIABLE, read_hub_settings


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a function that calls the verb and returns the command line that it becomes."""
    commands: list[list[str]] = []
    held: list[int] = []
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command))
    monkeypatch.setattr(os, "set_inheritable", lambda descriptor, _: held.append(descriptor))

    def start(*users: str, settings: Path | None = None, archive: str | None = None) -> list[str]:
        site = load_settings(archive=archive or str(tmp_path / "archive"), instrument="tomoe")
        context: Any = SimpleNamespace(obj=SimpleNamespace(settings=lambda: site))
        hub(context, settings=settings, port=8123, state=tmp_path / "state", test_login=list(users))
        return commands[-1]

    yield start
    for one in held:  # the hub would keep it
        os.close(one)


def test_its_options_are_settings(started: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = started("sora", "hoshi")
    assert command[:3] == [sys.executable, "-m", "jupyterhub"]
    found = read_hub_settings(Path(os.environ[VARIABLE]))
    assert (found.where, found.public_url, found.state) == ("machine", "http://localhost:8123", tmp_path / "state")
    assert found.archive.url == str(tmp_path / "archive")
    assert found.archive.environment == {"GOZEN_INSTRUMENT": "tomoe"}
    assert found.login.test is not None
    assert found.login.test.users == {"hoshi", "sora"}
    assert found.access.everyone  # as labs on one machine, whose files the accounts of the system protect
    password = found.login.test.password_file
    assert password.stat().st_mode & 0o077 == 0
    printed = capsys.readouterr()
    assert f"log in as hoshi or sora with the password {password.read_text().strip()}" in printed.out
    assert "each person can read the files of all others" in printed.err


def test_accounts_of_the_machine_need_root(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadRequest, match="--test-login NAME"):
        started()


def test_labs_get_the_settings_of_the_object_store(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOZEN_STORAGE__ENDPOINT_URL", "http://s3:9000")
    started("hoshi", archive="s3://sky/archive")
    found = read_hub_settings(Path(os.environ[VARIABLE])).archive
    assert found.url == "s3://sky/archive"
    assert found.environment["GOZEN_STORAGE__ENDPOINT_URL"] == "http://s3:9000"


def test_a_second_hub_in_the_same_folder_is_refused(started: Any, tmp_path: Path) -> None:
    started("hoshi")
    with pytest.raises(BadRequest, match=f"another hub uses the folder {tmp_path / 'state'}; end it"):
        started("hoshi")


def test_folder_and_password_are_for_their_owner_alone_also_if_they_exist(started: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    (state / "password").write_text("\n")
    (state / "password").chmod(0o644)
    started("hoshi")
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "password").stat().st_mode & 0o777 == 0o600
    assert len((state / "password").read_text().strip()) >= 8


def test_settings_of_a_cluster_are_refused(started: Any, tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    (tmp_path / "password").write_text("correct-horse")
    file.write_text(f"login: {{method: test, test: {{users: [ada], password_file: {tmp_path / 'password'}}}}}\n")
    with pytest.raises(BadRequest, match="write `where: machine` into it"):
        started(settings=file)
    with pytest.raises(BadRequest, match="--settings and --test-login exclude one another"):
        started("hoshi", settings=file)
