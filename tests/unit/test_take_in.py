"""Test the copy of raw files into the archive: grouping into exposures, names, records.

The FITS files are real, with a few pixels. Not covered: the content of headers (test_instrument), pixels.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from gozen.archive.raw.exposure_record import RawExposure, raw_exposures, read_record
from gozen.archive.raw.retain import retain
from gozen.archive.stores.open_store import Store, open_store
from gozen.errors import BadRequest, CorruptFile, StorageUnavailable, UnreadableInput
from gozen.frames.archived_files import ArchivedExposures
from gozen.frames.assign_exposures import sort_arrivals
from gozen.frames.exposure_grouping import slug
from gozen.frames.incoming_files import fits_files, read_arrivals
from gozen.frames.take_in import record_missing, take_in
from gozen.instrument.profile import Profile, parse_profile
from gozen.observing.written_sensors import sensors_taken

PROFILE = """
name: tiny
site: { name: Test, longitude_deg: 137.6, latitude_deg: 35.8, height_m: 1132, time_zone: Asia/Tokyo }
raw: frames
shape: [4, 6]
active: "[1:6,1:4]"
pixel_scale_arcsec: 1.0
gains: { one: { e_per_adu: 1, read_noise_e: 5, saturation_adu: 60000 } }
default_gain: one
masters: [bias]
sensors: [{ id: "1" }, { id: "2" }]
header:
  object: { word: OBJECT }
  data_type: { word: IMAGETYP }
  utc_start: { word: DATE-OBS, kind: utc }
  exposure_s: { word: EXPTIME, kind: number }
  sensor: { word: CHIP }
  exposure_id: { word: EXPID, optional: true }
"""


@pytest.fixture(scope="module")
def profile() -> Profile:
    return parse_profile(PROFILE, "tiny")


def put(folder: Path, name: str, when: str, target: str = "M 31", kind: str = "OBJECT", **words: object) -> Path:
    header = fits.Header({"OBJECT": target, "IMAGETYP": kind, "DATE-OBS": when, "EXPTIME": 60.0, "CHIP": "1"})
    header.update(words)
    path = folder / name
    fits.PrimaryHDU(np.zeros((4, 6), np.int16), header).writeto(path)
    return path


def names(paths: list[Path], profile: Profile) -> dict[str, list[str]]:
    arrivals, refused = read_arrivals(paths, profile)
    assert not refused
    groups = sort_arrivals(ArchivedExposures(open_store("nowhere"), profile), arrivals).groups
    return {f"{night}/{name}": [one.arrival.path.name for one in found] for (night, name), found in groups.items()}


def take(store: Store, paths: list[Path], profile: Profile) -> tuple[list[RawExposure], list[CorruptFile]]:
    return take_in(store, profile, read_arrivals(paths, profile)[0])


def test_frames_of_one_target_are_one_exposure_in_the_order_of_time(tmp_path: Path, profile: Profile) -> None:
    files = [put(tmp_path, f"{n}.fits", f"2026-01-15T12:{59 - n:02d}:00") for n in range(3)]
    assert names(files, profile) == {"20260115/m-31": ["2.fits", "1.fits", "0.fits"]}


def test_a_pause_of_half_an_hour_begins_another_exposure(tmp_path: Path, profile: Profile) -> None:
    times = ("12:00:00", "12:29:00", "13:00:00", "14:00:00")
    files = [put(tmp_path, f"{n}.fits", f"2026-01-15T{time}") for n, time in enumerate(times)]
    assert names(files, profile) == {
        "20260115/m-31": ["0.fits", "1.fits"],
        "20260115/m-31-2": ["2.fits"],
        "20260115/m-31-3": ["3.fits"],
    }


def test_the_night_goes_from_noon_to_noon(tmp_path: Path, profile: Profile) -> None:
    # 02:59 UTC is 11:59 in Japan: still the night before.
    files = [put(tmp_path, "a.fits", "2026-01-16T02:59:00"), put(tmp_path, "b.fits", "2026-01-16T03:01:00")]
    assert set(names(files, profile)) == {"20260115/m-31", "20260116/m-31"}


def test_an_exposure_number_is_the_name(tmp_path: Path, profile: Profile) -> None:
    files = [put(tmp_path, f"{n}.fits", "2026-01-15T12:00:00", CHIP=str(n), EXPID="42") for n in (1, 2)]
    assert names(files, profile) == {"20260115/00000042": ["1.fits", "2.fits"]}


def test_a_damaged_record_stops_its_own_exposure_alone(tmp_path: Path, profile: Profile) -> None:
    store = open_store(tmp_path / "archive")
    store.write("raw/20260115/00000042/exposure.json", b"{}")
    raw = tmp_path / "raw"
    raw.mkdir()
    files = [put(raw, f"{n}.fits", f"2026-01-15T12:0{n}:00", EXPID=str(40 + n)) for n in (1, 2)]
    groups = sort_arrivals(ArchivedExposures(store, profile), read_arrivals(files, profile)[0]).groups
    assert set(groups) == {("20260115", "00000041"), ("20260115", "00000042")}
    with pytest.raises(UnreadableInput, match=r"00000042/exposure\.json is not a valid record"):
        take(store, files, profile)
    assert read_record(store, "20260115", "00000041") is not None


def test_calibrations_are_called_after_their_kind(tmp_path: Path, profile: Profile) -> None:
    files = [
        put(tmp_path, "b.fits", "2026-01-15T08:00:00", "Bias", "BIAS"),
        put(tmp_path, "f.fits", "2026-01-15T08:30:00", "twilight", "FLAT"),
    ]
    assert set(names(files, profile)) == {"20260115/bias", "20260115/flat-twilight"}


def test_files_are_taken_in_once_and_recorded(tmp_path: Path, profile: Profile) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    files = [put(raw, f"{n}.fits", f"2026-01-15T12:0{n}:00", CHIP=str(1 + n % 2)) for n in range(4)]
    store = open_store(tmp_path / "archive")
    (taken,), refused = take(store, files, profile)
    assert refused == []
    assert taken.sensors == {
        "1": ("raw/20260115/m-31/0.fits", "raw/20260115/m-31/2.fits"),
        "2": ("raw/20260115/m-31/1.fits", "raw/20260115/m-31/3.fits"),
    }
    assert store.read("raw/20260115/m-31/0.fits") == files[0].read_bytes()
    before = store.path("raw/20260115/m-31/0.fits").stat().st_mtime_ns  # type: ignore[union-attr]
    assert take(store, files, profile) == ([taken], [])
    assert store.path("raw/20260115/m-31/0.fits").stat().st_mtime_ns == before  # type: ignore[union-attr]
    assert raw_exposures(store, "20260115") == [taken]


def test_files_that_come_later_join_their_exposure(tmp_path: Path, profile: Profile) -> None:
    store = open_store(tmp_path / "archive")
    for n in (1, 0):
        files = [put(tmp_path, f"{n}.fits", f"2026-01-15T12:0{n}:00")]
        taken, _ = take(store, files, profile)
    assert taken[0].sensors == {"1": ("raw/20260115/m-31/0.fits", "raw/20260115/m-31/1.fits")}


def test_compressed_files_are_stored_as_their_name_says(tmp_path: Path, profile: Profile) -> None:
    plain = put(tmp_path, "a.fits", "2026-01-15T12:00:00")
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    store = open_store(tmp_path / "archive")
    take(store, [packed], profile)
    assert store.read("raw/20260115/m-31/b.fits") == plain.read_bytes()


def test_another_file_of_the_same_name_is_told_and_written_over_nothing(tmp_path: Path, profile: Profile) -> None:
    path, store = put(tmp_path, "a.fits", "2026-01-15T12:00:00"), open_store(tmp_path / "archive")
    first, _ = take(store, [path], profile)
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"x")
    taken, (refused,) = take(store, [path], profile)
    assert "a.fits: the archive already contains raw/20260115/m-31/a.fits" in str(refused)
    assert taken == first
    assert store.read("raw/20260115/m-31/a.fits") == before


def test_a_file_that_changes_after_its_header_was_read_is_not_taken(tmp_path: Path, profile: Profile) -> None:
    path, store = put(tmp_path, "a.fits", "2026-01-15T12:00:00"), open_store(tmp_path / "archive")
    arrivals, _ = read_arrivals([path], profile)
    path.write_bytes(path.read_bytes() + bytes(2880))
    with pytest.raises(StorageUnavailable, match="changed after its header was read"):
        take_in(store, profile, arrivals)
    assert store.list("raw") == []


def test_a_packed_file_that_was_cut_short_is_left_out(tmp_path: Path, profile: Profile) -> None:
    plain, packed = put(tmp_path, "a.fits", "2026-01-15T12:00:00"), tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    (arrival,), _ = read_arrivals([packed], profile)
    packed.write_bytes(packed.read_bytes()[:-20])
    store = open_store(tmp_path / "archive")
    taken, (refused,) = take_in(store, profile, [replace(arrival, stamp=None)])
    assert taken == []
    assert "cannot be decompressed" in str(refused)


def test_a_camera_that_writes_to_the_archive_needs_no_record(tmp_path: Path, profile: Profile) -> None:
    store = open_store(tmp_path / "archive")
    path = put(tmp_path, "a.fits", "2026-01-15T12:00:00")
    store.write("raw/20260115/m-31/a.fits", path.read_bytes())
    record_missing(store, "20260115", profile)
    (found,) = raw_exposures(store, "20260115")
    assert (found.object, found.data_type, found.sensors) == ("M 31", "OBJECT", {"1": ("raw/20260115/m-31/a.fits",)})


def test_a_file_that_the_camera_writes_later_joins_the_record(tmp_path: Path, profile: Profile) -> None:
    store = open_store(tmp_path / "archive")
    for n in (0, 1):
        path = put(tmp_path, f"{n}.fits", f"2026-01-15T12:0{n}:00")
        store.write(f"raw/20260115/m-31/{n}.fits", path.read_bytes())
        record_missing(store, "20260115", profile)
    (found,) = raw_exposures(store, "20260115")
    assert found.sensors == {"1": ("raw/20260115/m-31/0.fits", "raw/20260115/m-31/1.fits")}


def test_what_cannot_be_read_in_the_archive_is_named_and_stops_nothing(tmp_path: Path, profile: Profile) -> None:
    store = open_store(tmp_path / "archive")
    path = put(tmp_path, "a.fits", "2026-01-15T12:00:00")
    store.write("raw/20260115/m-31/a.fits", path.read_bytes())
    store.write("raw/20260115/m-31/b.fits", b"no FITS at all")
    store.write("raw/20260115/m-31/retain", b"")
    store.write("raw/20260115/m-33/c.fits", b"no FITS at all")
    refused = record_missing(store, "20260115", profile)
    assert len(refused) == 2
    (found,) = raw_exposures(store, "20260115")
    assert found.sensors == {"1": ("raw/20260115/m-31/a.fits",)}


def test_a_file_that_cannot_be_read_is_named_and_stops_no_other(tmp_path: Path, profile: Profile) -> None:
    good = put(tmp_path, "good.fits", "2026-01-15T12:00:00")
    bad = tmp_path / "bad.fits"
    bad.write_bytes(b"no FITS at all")
    arrivals, refused = read_arrivals([bad, good], profile)
    assert [one.path for one in arrivals] == [good]
    assert [type(error) for error in refused] == [CorruptFile]
    assert "bad.fits" in str(refused[0])


def test_folders_are_searched_and_missing_ones_named(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("deep/er/b.fits.gz", "deep/a.FITS", "deep/c.fit", "deep/notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in fits_files([tmp_path])] == ["a.FITS", "c.fit", "b.fits.gz"]
    with pytest.raises(BadRequest, match="no file or folder"):
        fits_files([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRequest, match="no FITS files in"):
        fits_files([tmp_path / "empty"])


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write("raw/20260115/x/exposure.json", b"{}")
    with pytest.raises(UnreadableInput, match=r"x/exposure\.json is not a valid record of an exposure"):
        read_record(store, "20260115", "x")
    store.write("raw/20260115/y/record/1.json", b"{}")
    with pytest.raises(UnreadableInput, match=r"y/record/1\.json is not a valid change to the record of an exposure"):
        read_record(store, "20260115", "y")
    assert sensors_taken(store, "20260115", "x") is None
    store.write("raw/20260115/x/a.fits", b"x")
    assert retain(store, "20260115", "x").kept == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [("5945 Roachapproach", "5945-roachapproach"), ("  J0118+2942_dith1 ", "j0118-2942-dith1"), ("星", "unnamed")],
)
def test_a_name_for_keys(text: str, name: str) -> None:
    assert slug(text) == name


@pytest.mark.parametrize("number", [None, "7"])
def test_a_file_that_somebody_removed_comes_back_under_its_key(
    tmp_path: Path, profile: Profile, number: str | None
) -> None:
    words = {} if number is None else {"EXPID": number}
    paths = [put(tmp_path, f"a{n}.fits", f"2024-01-05T12:0{n}:00", **words) for n in range(3)]
    store = open_store(tmp_path / "archive")
    (before,), _ = take(store, paths, profile)
    lost = before.sensors["1"][1]
    data = store.read(lost)
    store.delete(lost)
    (after,), refused = take(store, paths[1:2], profile)
    assert (after, refused) == (before, [])
    assert store.read(lost) == data
