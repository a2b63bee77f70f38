"""Files that are not transferred, while the others of their folder are: their names, their kinds, what has their name.

They run on the test server, and also on a real one if ``GOZEN_TEST_NEXTCLOUD`` names it (`real_nextcloud`). Not here:
names that only some servers refuse (services/test_sharing_refusals.py).
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from gozen import errors
from gozen.sharing.cloud import Cloud
from gozen.sharing.transfers.outcomes import FileState

from .transfer_places import cloud, folder, night
from .transferred_files import states

__all__ = ["cloud", "folder", "night"]

DECOMPOSED = unicodedata.normalize("NFD", "ü ö.png")


def test_names_in_the_decomposed_form_are_sent_in_the_composed_form(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / DECOMPOSED).write_bytes(b"a")
    cloud.put(tmp_path / "night", folder)
    assert [one.name for one in cloud.list(f"{folder}/night")] == ["ü ö.png"]
    assert states(cloud.put(tmp_path / "night", folder)) == [FileState.EQUAL]
    assert states(cloud.get(f"{folder}/night/{DECOMPOSED}", tmp_path / "back")) == [FileState.FETCHED]
    (tmp_path / "night" / "ü ö.png").write_bytes(b"b")
    with pytest.raises(errors.UnsuitableName, match="written in different Unicode forms"):
        cloud.put(tmp_path / "night", folder)


@pytest.mark.parametrize("name", ["dot.", "space ", "x" * 251, "tab\t.csv", "back\\slash"])
def test_a_name_that_is_refused_stops_no_other(name: str, cloud: Cloud, folder: str, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for one in (name, "good"):
        (tmp_path / "night" / one).write_bytes(b"a")
    with pytest.raises(errors.UnsuitableName, match=r"night/.* is not sent: the name .*rename it.*1 sent"):
        cloud.put(tmp_path / "night", folder)
    assert [one.name for one in cloud.list(f"{folder}/night")] == ["good"]


def test_links_and_pipes_are_left_out(cloud: Cloud, folder: str, night: Path) -> None:
    (night / "link").symlink_to(night / "a.csv")
    (night / "folder").symlink_to(night / "sub")
    (night / "broken").symlink_to(night / "nowhere")
    os.mkfifo(night / "pipe")
    done = cloud.put(night, folder)
    assert {Path(one.path).name for one in done if one.state is FileState.LEFT_OUT} == {"folder", "broken", "pipe"}
    assert "link" in {one.name for one in cloud.list(f"{folder}/night")}


def test_what_does_not_exist_is_named(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    cloud.put([], folder)
    with pytest.raises(errors.CloudPathNotFound, match=f"download {folder}/a.csv: .*share ls"):
        cloud.get(f"{folder}/a.csv", tmp_path)
    with pytest.raises(errors.CloudPathNotFound, match=f"list {folder}/nights"):
        cloud.list(f"{folder}/nights")
    with pytest.raises(errors.MissingObject, match="nowhere"):
        cloud.put(tmp_path / "nowhere", folder)


def test_files_in_the_place_of_folders_are_named(cloud: Cloud, folder: str, night: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "night").write_bytes(b"a file")
    cloud.put(tmp_path / "a" / "night", folder)
    with pytest.raises(errors.CloudConflict, match="a file has this name"):
        cloud.put(night, folder)
    with pytest.raises(errors.CloudConflict, match="is a folder; rename"):
        cloud.get(f"{folder}/night", tmp_path)
    (tmp_path / "b" / "c").mkdir(parents=True)
    cloud.put(tmp_path / "b", folder)
    (tmp_path / "b2").mkdir()
    (tmp_path / "b2" / "c").write_bytes(b"a file")
    with pytest.raises(errors.CloudConflict, match="is a folder in Nextcloud"):
        cloud.put(tmp_path / "b2" / "c", f"{folder}/b")
