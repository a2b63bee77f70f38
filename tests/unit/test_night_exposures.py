"""Test which night, exposures and sensors a command selects, and the copy of raw files into the archive.

Not covered: the grouping of files (test_exposure_grouping), raw data outside the archive (test_external_raw).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest, CorruptFile
from gozen.instrument.profile import parse_profile
from gozen.settings import Settings
from gozen.workflow.night_exposures import (
    check_sensors,
    common_night,
    exposure_at,
    exposures_of_night,
    only_night,
    part_of,
)
from gozen.workflow.take_in_files import take_in_files

from ..interruptions import MemoryStore
from .test_exposure_grouping import PROFILE, Camera

NIGHT = "20240301"


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path, parse_profile(PROFILE, "tiny"))


def archive_of(*nights: str) -> MemoryStore:
    store = MemoryStore()
    for night in nights:
        store.write(f"raw/{night}/e1/1.fits", b"")
    return store


def name_of(error: CorruptFile) -> str:
    return Path(str(error).partition(":")[0]).name


def test_the_only_night_need_not_be_named() -> None:
    assert only_night(archive_of("20240301")) == "20240301"
    assert only_night(archive_of("20240301", "20240302"), "20240302") == "20240302"


@pytest.mark.parametrize(
    ("nights", "says"),
    [
        ((), "has no raw data; add some with `gozen run RECIPE --raw FOLDER`"),
        (("20240302", "20240301"), "of 2 nights.*--night: 20240301, 20240302"),
    ],
)
def test_without_a_name_no_night_or_several_are_refused(nights: tuple[str, ...], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        only_night(archive_of(*nights))


def test_files_of_one_night_name_it(camera: Camera) -> None:
    (one,) = take_in_files(camera.store, camera.profile, [camera.shot()])
    assert common_night([one, one]) == NIGHT
    assert common_night([]) is None
    with pytest.raises(BadRequest, match=r"of 2 nights; choose one with --night: 20240301, 20240302"):
        common_night([replace(one, night="20240302"), one])


def test_what_cannot_be_taken_in_is_told_stage_by_stage(camera: Camera) -> None:
    good, copy = camera.shot(0, "in/a.fits"), camera.folder / "in/b.fits"
    copy.write_bytes(good.read_bytes())
    (camera.folder / "in/c.fits").write_bytes(b"no FITS")
    told: list[list[str]] = []
    stages: list[tuple[str, int, int]] = []

    @contextmanager
    def progress(title: str, total: int) -> Iterator[object]:
        steps: list[None] = []
        yield lambda: steps.append(None)
        stages.append((title, total, len(steps)))

    (one,) = take_in_files(
        camera.store,
        camera.profile,
        [camera.folder / "in"],
        progress=progress,
        left_out=lambda refused: told.append([name_of(error) for error in refused]),
    )
    assert told == [["c.fits"], ["b.fits"]]
    assert {key.rsplit("/", 1)[1] for key in one.sensors["1"]} == {"a.fits"}
    assert stages[0] == ("reading headers", 3, 3)
    assert stages[1][:2] == ("taking in", 2)


def test_files_that_are_all_of_another_camera_are_refused_after_they_are_told(camera: Camera) -> None:
    path = camera.folder / "c.fits"
    path.write_bytes(b"no FITS")
    told: list[str] = []
    with pytest.raises(BadRequest, match="none of the 1 files can be read with the profile tiny"):
        take_in_files(camera.store, camera.profile, [path], left_out=lambda refused: told.extend(map(str, refused)))
    assert len(told) == 1


def test_a_night_has_the_exposures_of_one_camera(camera: Camera) -> None:
    camera.take(camera.shot(0), camera.shot(40, OBJECT="M 44"))
    assert {one.object for one in exposures_of_night(camera.store, camera.profile, NIGHT)} == {"M 67", "M 44"}
    other = parse_profile(PROFILE.replace("name: tiny", "name: other"), "other")
    with pytest.raises(BadRequest, match="are of the camera tiny, not of other; choose the camera with --instrument"):
        exposures_of_night(camera.store, other, NIGHT)
    with pytest.raises(
        BadRequest,
        match="the raw data of m-44 are of the camera tiny, not of other; choose the camera with --instrument",
    ):
        exposures_of_night(camera.store, other, NIGHT, ["m-44"])
    with pytest.raises(BadRequest, match="no raw data of the night 20240302"):
        exposures_of_night(camera.store, camera.profile, "20240302")
    with pytest.raises(BadRequest, match="'20240231' is not a date"):
        exposures_of_night(camera.store, camera.profile, "20240231")


def test_files_without_a_record_get_one_unless_others_are_asked_for(camera: Camera) -> None:
    camera.take(camera.shot(0))
    late = camera.shot(40, OBJECT="M 44")
    camera.store.write(f"raw/{NIGHT}/late/x.fits", late.read_bytes())
    camera.store.write(f"raw/{NIGHT}/late/y.fits", b"no FITS")
    told: list[str] = []
    named = exposures_of_night(
        camera.store, camera.profile, NIGHT, ["m-67"], left_out=lambda refused: told.extend(map(str, refused))
    )
    assert ([one.exposure for one in named], told) == (["m-67"], [])
    assert not camera.store.exists(f"raw/{NIGHT}/late/exposure.json")
    every = exposures_of_night(
        camera.store, camera.profile, NIGHT, left_out=lambda refused: told.extend(map(str, refused))
    )
    assert [one.exposure for one in every] == ["m-67", "late"]
    assert len(told) == 1


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_a_folder_outside_is_of_one_exposure(tmp_path: Path, camera: Camera, names: list[str]) -> None:
    with pytest.raises(BadRequest, match="is the folder of one exposure; name exactly one exposure"):
        exposure_at(Settings(archive=str(tmp_path)), camera.profile, NIGHT, names, str(tmp_path))


def test_sensors_are_divided_into_groups_of_which_none_is_empty(camera: Camera) -> None:
    five = ["1", "2", "3", "4", "5"]
    assert [part_of(five, camera.profile, part, 2) for part in range(3)] == [["1", "2"], ["3", "4"], ["5"]]
    assert part_of([], camera.profile, 0, 7) == ["1", "2"]
    with pytest.raises(BadRequest, match="--part 3: 5 sensors in groups of 2 have no such group; give 0 to 2"):
        part_of(five, camera.profile, 3, 2)


def test_sensors_that_the_camera_lacks_are_named(camera: Camera) -> None:
    check_sensors(["2"], camera.profile)
    with pytest.raises(BadRequest, match="no sensor 3; it has 1, 2"):
        check_sensors(["1", "3"], camera.profile)


def test_an_archive_on_disk_has_its_night_too(tmp_path: Path, camera: Camera) -> None:
    camera.take(camera.shot())
    assert only_night(open_store(tmp_path / "archive")) == NIGHT
