"""Test manifests and releases next to other objects, and invalid manifests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.interruptions import MemoryStore
from tests.portal_samples import write_release, write_table

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.format import manifest
from gozen.catalog.maintain.release import releases
from gozen.errors import UnreadableInput

FIRST = "catalogs/stars/manifest/000000001.json"


@pytest.mark.parametrize("stray", [".000000002.json.Xy12", "README", "000000009.json~", "copy of 000000009.json"])
def test_other_objects_next_to_the_manifests_are_no_versions(stray: str) -> None:
    store = MemoryStore()
    store.write(f"catalogs/stars/manifest/{stray}", b"{")
    assert manifest.current(store, "stars") is None
    write_table(store, "stars", "object", 5, 100)
    found = manifest.current(store, "stars")
    assert found is not None
    assert found.version == 1


@pytest.mark.parametrize("content", ["null", "[]", "1", '"x"', "{", "{}", '{"format": 1, "files": [null]}'])
def test_a_manifest_that_is_not_valid_is_named(content: str) -> None:
    store = MemoryStore()
    store.write(FIRST, content.encode())
    with pytest.raises(UnreadableInput, match=r"000000001\.json is not a valid manifest"):
        manifest.current(store, "stars")


class Listed(DirectoryStore):
    """A directory that notes what is listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.seen: list[str] = []

    def list(self, prefix: str) -> list[str]:
        found = super().list(prefix)
        self.seen.extend(found)
        return found


def test_the_tables_are_found_without_a_list_of_their_data_files(tmp_path: Path) -> None:
    store = Listed(tmp_path)
    assert manifest.tables(store) == []
    for name in ("stars", "gaia"):
        write_table(store, name, "object", 5, 100)
        store.write(f"catalogs/{name}/{name}.g1/dataset/Norder=0/Dir=0/Npix=1/a.parquet", b"")
    store.write("catalogs/unfinished/generation/000000001", b"")
    store.write("catalogs/README", b"")
    assert manifest.tables(store) == ["gaia", "stars"]
    assert [key for key in store.seen if "dataset" in key] == []


def test_other_objects_next_to_the_releases_are_no_releases() -> None:
    store = MemoryStore()
    write_release(store, "dr1", {"stars": ("object", 5, 100)})
    for stray in (".dr2.json.Xy12", ".dr2.json", "README", "old/dr0.json"):
        store.write(f"releases/{stray}", b"{")
    assert releases(store) == ["dr1"]
