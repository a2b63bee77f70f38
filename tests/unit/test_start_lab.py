"""Test that the home of a user gets the notebooks once, and that the user's changes are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from gozen_hub.full_home import folders_elsewhere
from gozen_hub.start_lab import give_notebooks


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("a.ipynb", "b.ipynb", "README.md"):
        (folder / name).write_text(name)
    return folder


def test_notebooks_are_copied_once(source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home" / "notebooks"
    assert give_notebooks(source, home) == ["a.ipynb", "b.ipynb"]
    assert sorted(one.name for one in home.glob("*.ipynb")) == ["a.ipynb", "b.ipynb"]
    assert not (home / "README.md").exists()
    assert give_notebooks(source, home) == []


def test_what_the_user_changed_or_deleted_is_not_touched(source: Path, tmp_path: Path) -> None:
    home = tmp_path / "notebooks"
    give_notebooks(source, home)
    (home / "a.ipynb").write_text("mine")
    (home / "b.ipynb").unlink()
    (source / "c.ipynb").write_text("new")
    assert give_notebooks(source, home) == ["c.ipynb"]
    assert (home / "a.ipynb").read_text() == "mine"
    assert not (home / "b.ipynb").exists()


def test_a_notebook_of_the_user_with_the_same_name_is_kept(source: Path, tmp_path: Path) -> None:
    home = tmp_path / "notebooks"
    home.mkdir()
    (home / "a.ipynb").write_text("mine")
    give_notebooks(source, home)
    assert (home / "a.ipynb").read_text() == "mine"


def test_a_home_that_cannot_be_written_does_not_keep_the_lab_from_starting(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notebooks").write_text("a file")
    assert give_notebooks(source, tmp_path / "notebooks") == []
    assert "were not copied" in caplog.text


@pytest.mark.parametrize("content", ["", "{", "null", "5", "[{}]", "\udcff"])
def test_a_damaged_record_is_written_again_and_nothing_is_overwritten(
    source: Path, tmp_path: Path, content: str
) -> None:
    home = tmp_path / "notebooks"
    home.mkdir()
    (home / ".gozen-notebooks.json").write_text(content, errors="surrogateescape")
    (home / "a.ipynb").write_text("mine")
    assert give_notebooks(source, home) == ["a.ipynb", "b.ipynb"]
    assert (home / "a.ipynb").read_text() == "mine"
    assert give_notebooks(source, home) == []
    assert sorted(one.suffix for one in home.iterdir()) == [".ipynb", ".ipynb", ".json"]


def test_a_source_that_does_not_exist_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert give_notebooks(tmp_path / "nowhere", tmp_path / "notebooks") == []
    assert f"the folder {tmp_path / 'nowhere'} does not exist" in caplog.text


def test_a_home_with_space_keeps_everything_of_jupyter(tmp_path: Path) -> None:
    assert folders_elsewhere(tmp_path, {}) == {}
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and one.stat().st_size]


def test_what_the_home_cannot_have_is_in_a_temporary_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".ipython").write_text("a file")
    found = folders_elsewhere(tmp_path, {})
    assert set(found) == {"IPYTHONDIR", "JUPYTER_RUNTIME_DIR"}
    folders = {Path(one).parent for one in found.values()}
    assert len(folders) == 1
    assert f"IPYTHONDIR, JUPYTER_RUNTIME_DIR are in {folders.pop()}" in caplog.text
    assert set(folders_elsewhere(tmp_path, {"JUPYTER_RUNTIME_DIR": "/tmp/jupyter"})) == {"IPYTHONDIR"}
    assert folders_elsewhere(tmp_path, {"JUPYTER_RUNTIME_DIR": "/tmp/jupyter", "IPYTHONDIR": "/tmp/ipython"}) == {}
