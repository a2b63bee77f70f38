"""Test the simulated camera and night in an archive: keys, true values, reference catalogue, parallelism, refusals."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest
from gozen.instrument.profile import load_profile
from gozen.simulator import truth_tables
from gozen.simulator.camera.damaged_files import damage
from gozen.simulator.simulate_night import SimulatedNight, Target, plan_night, simulate_night
from gozen.simulator.simulated_camera import SimulatedCamera, SimulatedExposure, update_reference
from gozen.simulator.sky.events import Eclipse, Flare
from gozen.simulator.sky.scene import SimulatedSky

from .simulator_samples import START, small_profile

FIELD = {"object": "field", "ra": 19.5, "dec": 29.7, "start": START, "nframe": 2}


def _camera(folder, seed=7):
    return SimulatedCamera(small_profile(), SimulatedSky(seed, tycho=None), open_store(folder))


def _contents(folder):
    store = open_store(folder)
    return {key: store.read(key) for key in store.list("")}


def test_an_exposure_leaves_raw_files_truth_and_a_reference_catalogue(tmp_path):
    camera = _camera(tmp_path)
    keys = camera.expose(SimulatedExposure(5, **FIELD, sensors=["111", "216"]))
    assert keys == [
        "raw/20261120/00000005/TMQ1202611200000000511.fits",
        "raw/20261120/00000005/TMQ2202611200000000516.fits",
    ]
    reference = truth_tables.read_truth(camera.store, truth_tables.REFERENCE_KEY).to_pandas().set_index("source_id")
    for sensor in ("111", "216"):
        stars = truth_tables.read_truth(
            camera.store, truth_tables.sensor_key("20261120", "00000005", sensor, "stars")
        ).to_pandas()
        known = reference.loc[stars.source_id]
        np.testing.assert_array_equal(known.ra, stars.ra_2016)
        moved_mas = (stars.dec.to_numpy() - known.dec.to_numpy()) * 3.6e6
        np.testing.assert_allclose(moved_mas, known.pmdec * 10.886, rtol=1e-3, atol=1e-3)


def test_truth_follows_its_magnitude_model(tmp_path):
    camera = _camera(tmp_path)
    camera.expose(SimulatedExposure(5, **FIELD, sensors=["111"]))
    model = truth_tables.read_truth(
        camera.store, truth_tables.sensor_key("20261120", "00000005", "111", "sensor")
    ).to_pylist()[0]
    stars = truth_tables.read_truth(
        camera.store, truth_tables.sensor_key("20261120", "00000005", "111", "stars")
    ).to_pandas()
    magnitude = model["zp_adu"] + model["colour_term"] * stars.bp_rp - 2.5 * np.log10(stars.flux_adu)
    np.testing.assert_allclose(magnitude, stars.g, atol=1e-9)


def test_the_archive_does_not_depend_on_who_did_the_work(tmp_path):
    _camera(tmp_path / "one").expose(SimulatedExposure(5, **FIELD, sensors=["111", "112", "113"]))
    with ThreadPoolExecutor(3) as pool:
        _camera(tmp_path / "many").expose(SimulatedExposure(5, **FIELD, sensors=["111", "112", "113"]), run=pool.map)
    assert _contents(tmp_path / "one") == _contents(tmp_path / "many")


def test_the_reference_catalogue_grows_with_the_fields(tmp_path):
    camera = _camera(tmp_path)
    camera.expose(SimulatedExposure(5, **FIELD, sensors=["111"]))
    before = truth_tables.read_truth(camera.store, truth_tables.REFERENCE_KEY)
    camera.expose(SimulatedExposure(6, **FIELD, sensors=["111"]))
    assert truth_tables.read_truth(camera.store, truth_tables.REFERENCE_KEY).equals(before)
    camera.expose(SimulatedExposure(7, **{**FIELD, "ra": 100.0}, sensors=["111"]))
    after = truth_tables.read_truth(camera.store, truth_tables.REFERENCE_KEY)
    assert set(before["source_id"].to_pylist()) < set(after["source_id"].to_pylist())


def test_two_skies_do_not_mix_in_one_archive(tmp_path):
    _camera(tmp_path).expose(SimulatedExposure(5, **FIELD, sensors=["111"]))
    with pytest.raises(BadRequest, match="its seed is 7, not 8; use that seed, or use another archive"):
        _camera(tmp_path, seed=8).expose(SimulatedExposure(6, **FIELD, sensors=["111"]))


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ("tycho.fits", None, "contains the bright stars of tycho.fits, which are not installed here; install them"),
        ("", Path("tycho.fits"), "does not contain the bright stars of tycho.fits, which are installed here"),
    ],
)
def test_skies_with_and_without_real_bright_stars_do_not_mix(tmp_path, there, here, said):
    store = open_store(tmp_path)
    known = {b"gozen.seed": b"7", b"gozen.tycho": there.encode(), b"gozen.tiles": b"5"}
    truth_tables.write_truth(store, truth_tables.REFERENCE_KEY, pa.table({"a": [1]}).replace_schema_metadata(known))
    with pytest.raises(BadRequest, match=said):
        update_reference(store, SimulatedSky(7, tycho=here), [])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sensors": ["999"]}, "999"),
        ({"sensors": []}, "no sensor"),
        ({"nframe": 0}, "0 frames"),
        ({"data_type": "LAMP"}, "LAMP"),
        ({"gain": "loud"}, "loud"),
    ],
)
def test_what_the_camera_does_not_have_is_refused_by_name(tmp_path, change, named):
    with pytest.raises(BadRequest, match=named):
        _camera(tmp_path).expose(SimulatedExposure(5, **{**FIELD, "sensors": ["111"], **change}))
    assert not list(tmp_path.iterdir())


def test_a_night_has_calibration_exposures_dithers_and_visible_events(tmp_path):
    seen = []
    night = simulate_night(
        open_store(tmp_path),
        small_profile(),
        SimulatedNight(
            "20261120",
            [Target("field", 19.5, 29.7)],
            [(0.0, 0.0), (60.0, 30.0)],
            ["111", "112"],
            nframe=3,
            seed=7,
        ),
        progress=lambda done, total, key: seen.append((done, total, key)),
    )
    assert [(step.data_type, step.object) for step in night.exposures] == [
        ("DARK", "DARK"),
        ("FLAT", "FLAT"),
        ("OBJECT", "field_dith1"),
        ("OBJECT", "field_dith2"),
    ]
    assert [done for done, _, _ in seen] == list(range(1, 9))
    assert tuple(key for _, _, key in seen) == night.raw
    store = open_store(tmp_path)
    assert all(store.exists(key) for key in night.raw)
    names = truth_tables.read_truth(store, truth_tables.events_key("20261120"))["kind"].to_pylist()
    assert {"flare", "transient", "eclipse", "mover", "cloud"} <= set(names)
    injected = {event.name for event in night.events if isinstance(event, Flare | Eclipse)}
    found = [
        name
        for sensor in night.sensors
        for name in truth_tables.read_truth(
            store, truth_tables.sensor_key("20261120", "00000003", sensor, "variables")
        )["event"].to_pylist()
    ]
    assert injected <= set(found)


def test_a_night_starts_in_the_dark_and_its_exposures_do_not_overlap():
    plan = plan_night(
        load_profile("tomoe").site,
        SimulatedNight("20261120", [Target("a", 10, 60)], [(0, 0), (1800, 0)], calibration_frames=5),
    )
    assert (plan[0].start - 61364) * 24 == pytest.approx(13.0)
    assert all(later.start - step.start > step.nframe * 0.5 / 86400 for step, later in itertools.pairwise(plan))
    assert (plan[3].ra - plan[2].ra) * 3600 == pytest.approx(3600.0)
    assert [step.nframe for step in plan] == [5, 5, 18, 18]


def test_a_night_that_is_no_date_is_refused():
    with pytest.raises(BadRequest, match="20261340"):
        plan_night(load_profile("tomoe").site, SimulatedNight("20261340", []))


def test_an_unknown_damage_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="scratched"):
        damage(open_store(tmp_path), "raw/x.fits", "scratched")


def test_a_camera_of_single_frames_is_refused(tmp_path):
    frames = small_profile().model_copy(update={"raw": "frames"})
    camera = SimulatedCamera(frames, SimulatedSky(7, tycho=None), open_store(tmp_path))
    with pytest.raises(BadRequest, match="single frames"):
        camera.expose(SimulatedExposure(5, **FIELD, sensors=["111"]))
