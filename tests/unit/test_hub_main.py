"""Test the command of the hub's pod: it starts JupyterHub with Gozen's configuration, or prints a one-line error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gozen.errors import BadRequest
from gozen_hub.hub_main import main
from gozen_hub.hub_settings import VARIABLE

SETTINGS = "login: {method: test, test: {users: [ada], password_file: PASSWORD}}\nstate: STATE\n"


def filled(text: str, folder: Path) -> str:
    return text.replace("PASSWORD", str(folder / "password")).replace("STATE", str(folder / "state"))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hub.yaml"
    (tmp_path / "password").write_text("correct-horse\n")
    path.write_text(filled(SETTINGS, tmp_path))
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_it_becomes_jupyterhub(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    monkeypatch.setattr(sys, "argv", ["gozen-hub", "--debug"])
    main()
    ((python, module, name, config, *further),) = started
    assert (python, module, name) == (sys.executable, "-m", "jupyterhub")
    assert "configure(" in Path(config.removeprefix("--config=")).read_text()
    assert further == ["--upgrade-db", "--debug"]


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("{}", "login: it is missing"), (SETTINGS + "labs: {}\n", "labs: ")]
)
def test_settings_that_make_no_sense_are_one_line(
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    said: str,
) -> None:
    settings.unlink() if text is None else settings.write_text(filled(text, settings.parent))
    monkeypatch.setattr(sys, "argv", ["gozen-hub"])
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it starts"))
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gozen-hub: BadRequest: {settings}: ")
    assert said in line
    assert ended.value.code == BadRequest.exit_code


@pytest.mark.parametrize(("password", "said"), [(None, "cannot be read"), ("", "is empty"), ("short", "8 or more")])
def test_a_secret_that_makes_no_sense_is_one_line(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], password: str | None, said: str
) -> None:
    file = settings.parent / "password"
    file.unlink() if password is None else file.write_text(password)
    monkeypatch.setattr(sys, "argv", ["gozen-hub"])
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it starts"))
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gozen-hub: BadRequest: {file}")
    assert said in line
    assert ended.value.code == BadRequest.exit_code
