"""Test the checks of the machine: what exists, what is missing, and how to get it. The command: test_cli."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from gozen.preflight import archive_check, data_checks, machine_checks, package_checks
from gozen.settings import AstrometrySettings, Settings


def settings_of(folder: Path, **given: object) -> Settings:
    return Settings(archive=str(folder / "archive"), **given)


def test_a_package_is_missing_too_old_or_good(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["numpy>=1", "numpy>=9999", "no-such-package>=2", "only-of-an-extra; extra == 'x'"]
    monkeypatch.setattr(package_checks.metadata, "requires", lambda _: needs)
    good, old, absent = package_checks.packages()
    assert (good.state, good.hint) == ("ok", "")
    assert (old.state, old.hint) == ("missing", "pip install --upgrade 'numpy>=9999'")
    assert (absent.state, absent.found, absent.hint) == (
        "missing",
        "not installed",
        "pip install 'no-such-package>=2'",
    )


def test_the_tables_of_time_end_some_day() -> None:
    now = data_checks.time_tables(datetime(2020, 1, 1, tzinfo=UTC))
    late = data_checks.time_tables(datetime(2060, 1, 1, tzinfo=UTC))
    assert (now.state, late.state) == ("ok", "optional")
    assert re.fullmatch(r"leap seconds known until \S{10}, the Earth's rotation measured until \S{10}", now.found)
    assert "pip install --upgrade astropy-iers-data" in late.hint


def test_index_files_are_found_in_folders_and_by_name(tmp_path: Path) -> None:
    for name in ("index-tycho2-07.fits", "index-tycho2-19.littleendian.fits", "index-4107.fits", "notes.txt"):
        (tmp_path / name).write_bytes(b"0" * 1_000_000)
    there = settings_of(tmp_path, astrometry=AstrometrySettings(index_files=(tmp_path,)))
    assert [(one.state, one.found) for one in data_checks.index_files(there)] == [
        ("ok", "3 files, 3 MB"),
        ("ok", "scales 07 to 19"),
    ]
    none = settings_of(tmp_path, astrometry=AstrometrySettings(index_files=(tmp_path / "none",)))
    assert [one.state for one in data_checks.index_files(none)] == ["optional", "optional"]


def test_an_archive_needs_a_folder_and_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5e9))
    assert archive_check.archive(settings_of(tmp_path)).found == f"{tmp_path / 'archive'}, 5.0 GB free"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0.5e9))
    full = archive_check.archive(settings_of(tmp_path))
    assert (full.state, full.hint) == ("missing", "free at least 1 GB")
    (tmp_path / "archive").write_text("no folder")
    assert archive_check.archive(settings_of(tmp_path)).found.endswith("archive cannot be written")


def test_a_bucket_must_create_an_object_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[str] = set()

    class Bucket(SimpleNamespace):
        def create(self, key: str, _: bytes) -> bool:
            fresh = key not in held
            held.add(key)
            return fresh or not self.exclusive

        def delete(self, key: str) -> None:
            held.discard(key)

    for exclusive, state in ((True, "ok"), (False, "missing")):
        bucket = Bucket(exclusive=exclusive)
        monkeypatch.setattr("gozen.archive.stores.open_store.open_archive", lambda _, bucket=bucket: bucket)
        assert archive_check.archive(Settings(archive="s3://bucket/archive")).state == state
        assert held == set()


def test_a_small_machine_is_told_to_use_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 400_000))
    assert machine_checks.memory().hint == "set workers = 1: each worker takes about 1 GB"
