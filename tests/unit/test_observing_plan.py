"""Test the plan of an Observation: pointing and dithers, parameters and pipelines of each step, names, and refusals."""

import math

import pytest

from gozen.errors import BadRequest
from gozen.observing.observation_plan import exposures_of, offset
from gozen.resources.metadata import ObjectMeta
from gozen.resources.observation import Observation, ObservationSpec
from gozen.resources.recipe_steps import Operation, Parameters, Pointing

CAMERA = Operation(set_parameter=Parameters(tinteg_sec=0.5, nframe=18))
FIELD = Operation(pointing=Pointing(ra=120.0, dec=60.0))


def observation(*operations, **spec):
    return Observation(
        metadata=ObjectMeta(name="field", namespace="night"),
        spec=ObservationSpec(observer="a", project="b", operations=list(operations), **spec),
    )


def test_each_exposure_step_becomes_one_exposure_named_by_its_step():
    planned = exposures_of(observation(FIELD, CAMERA, Operation(exposure="A"), Operation(exposure="A")))
    assert [item.exposure.metadata.name for item in planned] == ["field-003", "field-004"]
    assert [item.step for item in planned] == [3, 4]
    assert {item.exposure.metadata.namespace for item in planned} == {"night"}
    assert {item.exposure.spec.observation_ref.name for item in planned} == {"field"}
    assert {item.exposure.spec.object for item in planned} == {"A"}


def test_an_observation_without_exposures_makes_none():
    assert exposures_of(observation(Operation(set_focus=28.0))) == []


def test_parameters_hold_until_they_are_set_again():
    planned = exposures_of(
        observation(
            FIELD,
            Operation(set_parameter=Parameters(tinteg_sec=0.5, nframe=18, gain="mid", sensors=["111"])),
            Operation(exposure="A"),
            Operation(set_parameter=Parameters(nframe=12)),
            Operation(exposure="B"),
        )
    )
    first, second = planned
    assert (first.tinteg_sec, first.exposure.spec.nframe, first.gain) == (0.5, 18, "mid")
    assert (second.tinteg_sec, second.exposure.spec.nframe, second.gain) == (0.5, 12, "mid")
    assert second.exposure.spec.sensors == ["111"]


def test_pipelines_are_the_instruments_until_the_recipe_sets_them():
    planned = exposures_of(
        observation(FIELD, CAMERA, Operation(exposure="A"), Operation(set_pipeline=["neo"]), Operation(exposure="B")),
        default_pipelines=("wcs", "stack", "cube"),
        default_gain="low",
    )
    assert [item.exposure.spec.pipelines for item in planned] == [["wcs", "stack", "cube"], ["neo"]]
    assert planned[0].gain == "low"


def test_instrument_and_run_are_passed_on():
    [planned] = exposures_of(observation(FIELD, CAMERA, Operation(exposure="A")), instrument="other", run="r2")
    assert (planned.exposure.spec.instrument, planned.exposure.spec.run) == ("other", "r2")


@pytest.mark.parametrize(("urgent", "priority_class"), [(True, "express"), (False, "default")])
def test_targets_of_opportunity_go_first(urgent, priority_class):
    asked = observation(FIELD, CAMERA, Operation(exposure="A"), target_of_opportunity=urgent)
    assert exposures_of(asked)[0].exposure.spec.priority_class == priority_class


def test_darks_need_no_pointing_and_no_pipelines():
    [planned] = exposures_of(
        observation(
            Operation(set_pipeline=["wcs", "stack"]),
            Operation(set_parameter=Parameters(tinteg_sec=0.5, nframe=18, data_type="DARK")),
            Operation(exposure="dark"),
        )
    )
    assert planned.pointing is None
    assert (planned.exposure.spec.data_type, planned.exposure.spec.pipelines) == ("DARK", [])


def test_a_dither_is_measured_on_the_sky_from_the_present_pointing():
    planned = exposures_of(
        observation(
            FIELD,
            CAMERA,
            Operation(dithering=[3600.0, 1800.0]),
            Operation(exposure="A"),
            Operation(dithering=[0.0, -1800.0]),
            Operation(exposure="B"),
        )
    )
    assert planned[0].pointing.ra == pytest.approx(122.0, abs=1e-12)
    assert planned[0].pointing.dec == pytest.approx(60.5, abs=1e-12)
    assert (planned[1].pointing.ra, planned[1].pointing.dec) == (planned[0].pointing.ra, pytest.approx(60.0))


@pytest.mark.parametrize(("ra", "dra", "expected"), [(359.5, 3600.0, 0.5), (0.25, -1800.0, 359.75), (0.0, -1e-20, 0.0)])
def test_right_ascension_stays_below_360(ra, dra, expected):
    moved = offset(Pointing(ra=ra, dec=0.0), dra, 0.0)
    assert moved.ra == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("dec", "dra", "ddec"), [(89.9, 0.0, 720.0), (-89.9, 0.0, -720.0), (90.0, 10.0, 0.0)])
def test_an_offset_over_a_pole_is_refused(dec, dra, ddec):
    steps = (Operation(pointing=Pointing(ra=1.0, dec=dec)), Operation(dithering=[dra, ddec]))
    with pytest.raises(BadRequest, match=r"Observation field step 2: dithering .* crosses a celestial pole"):
        exposures_of(observation(*steps))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((CAMERA, Operation(exposure="A")), "step 2: exposure 'A' comes before any pointing; put a pointing before it"),
        ((Operation(dithering=[1.0, 1.0]),), "step 1: dithering comes before any pointing"),
        ((FIELD, Operation(exposure="A")), "step 2: exposure 'A' comes before nframe is set"),
        (
            (FIELD, Operation(set_parameter=Parameters(nframe=1)), Operation(exposure="A")),
            "step 3: exposure 'A' comes before tinteg_sec is set; put a setParameter with tinteg_sec before it",
        ),
    ],
)
def test_a_step_that_comes_too_early_is_refused_by_name(steps, message):
    with pytest.raises(BadRequest) as refusal:
        exposures_of(observation(*steps))
    assert f"Observation field {message}" in str(refusal.value)


def test_a_small_offset_keeps_its_length_on_the_sky():
    start = Pointing(ra=10.0, dec=45.0)
    moved = offset(start, 10.0, 0.0)
    assert (moved.ra - start.ra) * math.cos(math.radians(45.0)) * 3600 == pytest.approx(10.0)
