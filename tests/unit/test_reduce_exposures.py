"""Test masters and reductions as steps of a night: the requested work, results as they come, and the updated logs.

Existing commits replace the reductions; masters are made in this process.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import BadRequest, ExitCode
from gozen.instrument.profile import parse_profile
from gozen.reduction.sensor_masters import make_sensor_masters
from gozen.settings import Settings
from gozen.workflow.make_night_masters import make_night_masters
from gozen.workflow.night_exposures import chosen_exposures, exposures_of_night
from gozen.workflow.reduce_exposures import reduce_exposures, works_of_night

from .archive_samples import commit, processing_of, refused
from .test_exposure_grouping import PROFILE, Camera

NIGHT = "20240301"
LOG = keys.log_table("exposures", NIGHT)


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    (tmp_path / "cam.yaml").write_text(PROFILE)
    return Camera(tmp_path, parse_profile(PROFILE, "tiny"))


@pytest.fixture
def night(camera: Camera) -> list[RawExposure]:
    """Return the exposures of a night: a bias, and M 67 on both sensors."""
    camera.take(
        camera.shot(0, IMAGETYP="BIAS", OBJECT="cap"),
        camera.shot(40),
        camera.shot(40, CHIP="2"),
    )
    return exposures_of_night(camera.store, camera.profile, NIGHT)


def settings_of(camera: Camera) -> Settings:
    return Settings(archive=camera.store.url, instrument=str(camera.folder / "cam.yaml"), workers=1)


def named(exposures: list[RawExposure], kind: str) -> str:
    return next(one.exposure for one in exposures if one.data_type == kind)


def test_all_of_the_sky_is_reduced_where_nothing_is_named(night: list[RawExposure]) -> None:
    works = works_of_night(night, [], run="r2", pipelines=["wcs"], retain_raw=True)
    assert {(one.sensor, one.processing.run, one.pipelines, one.retain_raw) for one in works} == {
        ("1", "r2", ("wcs",), True),
        ("2", "r2", ("wcs",), True),
    }
    assert [one.sensor for one in works_of_night(night, ["m-67"], run="r1", sensors=["2"])] == ["2"]


def test_an_exposure_that_the_night_lacks_is_named_with_those_that_it_has(night: list[RawExposure]) -> None:
    with pytest.raises(BadRequest, match=r"the night 20240301 has no exposure no-such; it has .*m-67"):
        works_of_night(night, ["m-67", "no-such"], run="r1")


def test_no_work_is_an_error_unless_other_processes_have_the_sensors(night: list[RawExposure]) -> None:
    bias = named(night, "BIAS")
    assert works_of_night(night, ["m-67"], run="r1", sensors=["3"], divided=True) == []
    for names, sensors, divided in ((["m-67"], ["3"], False), ([bias], [], True)):
        with pytest.raises(BadRequest, match="nothing to reduce: none of"):
            works_of_night(night, names, run="r1", sensors=sensors, divided=divided)


@pytest.mark.parametrize("divided", [False, True])
def test_what_is_committed_comes_back_and_a_whole_step_rebuilds_the_log(
    camera: Camera, night: list[RawExposure], divided: bool
) -> None:
    for one in (commit("m-67", "1", night=NIGHT), refused(exposure="m-67", sensor="2", night=NIGHT)):
        write_commit(camera.store, processing_of(one), one)
    works, seen = works_of_night(night, [], run="r1"), []
    results = reduce_exposures(
        camera.store, settings_of(camera), works, divided=divided, finished=lambda one: seen.append(one.work.sensor)
    )
    assert [one.skipped for one in results] == [True, True]
    assert {one.exit_code for one in results} == {ExitCode.DONE}
    assert seen == ["1", "2"]
    assert camera.store.exists(LOG) is not divided


@pytest.mark.parametrize("divided", [False, True])
def test_masters_are_told_as_they_come_and_a_whole_step_rebuilds_the_log(
    camera: Camera, night: list[RawExposure], divided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(works, open_shared_inputs, workers):
        for work in works:
            yield from make_sensor_masters(work, open_shared_inputs())

    monkeypatch.setattr("gozen.workflow.make_night_masters.make_masters", in_this_process)
    seen: list[str] = []
    made = make_night_masters(
        camera.store,
        settings_of(camera),
        camera.profile,
        night,
        divided=divided,
        finished=lambda one: seen.append(one.kind),
    )
    # The few pixels of the frame are not those of the camera: the commit refuses it, which is a result.
    assert [(one.sensor, one.kind, one.exit_code) for one in made] == [("1", "bias", ExitCode.DONE)]
    assert made[0].problem.startswith("CorruptFile")
    assert seen == ["bias"]
    assert camera.store.exists(LOG) is not divided
    assert make_night_masters(camera.store, settings_of(camera), camera.profile, night, ["2"]) == []


def test_masters_of_exposures_that_are_not_there_are_refused(night: list[RawExposure]) -> None:
    bias = named(night, "BIAS")
    assert [one.exposure for one in chosen_exposures(night, [bias])] == [bias]
    assert chosen_exposures(night, []) == night
    with pytest.raises(BadRequest, match=r"the night 20240301 has no exposure no-such; it has .*m-67"):
        chosen_exposures(night, [bias, "no-such"])
