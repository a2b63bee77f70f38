"""A simulated survey and light curves of some nights for QuickDB, made once; tests must not change them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.write import append
from gozen.quickdb import Api, connect
from gozen.settings import Settings
from gozen.simulator.objects.survey_release import simulate_objects

from ..catalog_samples import field_of, rows_of
from .made_once import made_once

OBJECTS = 2_000_000
NIGHTS = (20260101, 20260102, 20260103)
FIELD = field_of(150, 5, size=2.0)


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive with the release ``s20a_wide``."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)
            simulate_objects(DirectoryStore(folder / "archive"), "s20a_wide", OBJECTS)

    return made_once(tmp_path_factory, "quickdb", make) / "archive"


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive with light curves of three nights."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)
            patch.setattr(append, "SOURCE_ROW_GROUP", 200)
            for night in NIGHTS:
                store = DirectoryStore(folder / "archive")
                append.append_night(store, "lightcurves", night, [rows_of(FIELD, night, "1")])

    return made_once(tmp_path_factory, "quickdb-nights", make) / "archive"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the tests of a module a folder of their own for results that are kept."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOZEN_QUICKDB__CACHE", str(folder))
        yield folder


def here(archive: Path | str, **settings: object) -> Api:
    """Connect without workers."""
    return connect(archive, workers=0, settings=Settings(archive=str(archive)), **settings)  # type: ignore[arg-type]
