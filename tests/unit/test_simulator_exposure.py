"""Test raw files of the simulated camera: their headers, the same bytes for the same order, pixels."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from astropy.io import fits

from gozen.errors import CorruptFile
from gozen.instrument.read_header import read_header
from gozen.simulator.camera.damaged_files import DAMAGES
from gozen.simulator.camera.simulated_cube import simulate_sensor
from gozen.simulator.sky.scene import SimulatedSky

from .simulator_samples import START, order, small_profile


def _open(data):
    with fits.open(io.BytesIO(data)) as hdus:
        hdus.verify("exception")
        return hdus[0].header, np.asarray(hdus[0].data)


def _read(data):
    return read_header(_open(data)[0], small_profile(), "simulated")


def test_the_header_is_read_back_by_the_profile():
    wanted = order(gain="mid", pipelines=("wcs", "stack", "neo"), project="survey", observer="somebody")
    found = _read(simulate_sensor(wanted))
    assert (found.object, found.data_type, found.sensor) == ("J0118+2942_dith1", "OBJECT", "111")
    assert (found.exposure_id, found.frame_id) == ("00000042", "TMQ1202611200000004211")
    assert (found.gain, found.pipelines) == ("mid", ("wcs", "stack", "neo"))
    assert (found.project, found.observer) == ("survey", "somebody")
    assert found.utc_start == wanted.utc_mjd
    assert found.utc_sequence == pytest.approx(START, abs=1e-11)
    assert 0.1 < (found.utc_start - found.utc_sequence) * 86400 < 1.0
    assert (found.exposure_s, found.frame_time_s, found.row_time_s) == (0.499904, 0.5, 0.00041475)
    assert found.ra == pytest.approx(19.5, abs=1e-5)
    assert found.dec == pytest.approx(29.7, abs=1e-5)


@pytest.mark.parametrize(("ra", "dec"), [(359.99999999, -0.0001), (0.0, -89.99999), (123.456, 59.99999999)])
def test_coordinates_survive_the_sexagesimal_text(ra, dec):
    found = _read(simulate_sensor(order(ra=ra, dec=dec, nframe=1, data_type="DARK")))
    assert (found.ra - ra + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-5)
    assert found.dec == pytest.approx(dec, abs=2e-6)


def test_the_same_order_gives_the_same_bytes_in_another_process():
    wanted = order()
    assert simulate_sensor(pickle.loads(pickle.dumps(wanted))) == simulate_sensor(wanted)


@pytest.mark.parametrize("change", [{"sensor": "112"}, {"exposure_id": 43}, {"sky": SimulatedSky(8, tycho=None)}])
def test_another_sensor_exposure_or_seed_gives_other_noise(change):
    _, one = _open(simulate_sensor(order()))
    _, other = _open(simulate_sensor(order(**change)))
    assert (one == other).mean() < 0.2


def test_frames_do_not_depend_on_how_many_there_are():
    _, two = _open(simulate_sensor(order(nframe=2)))
    _, three = _open(simulate_sensor(order(nframe=3)))
    np.testing.assert_array_equal(two, three[:2])


def test_dark_flat_and_object_differ_as_they_should():
    level = {}
    for kind in ("DARK", "FLAT", "OBJECT"):
        header, cube = _open(simulate_sensor(order(data_type=kind)))
        assert header["DATA-TYP"] == kind
        assert cube.dtype == np.uint16
        assert cube.shape == (2, 200, 340)
        level[kind] = float(np.median(cube[:, :, :300])) - float(np.median(cube[:, :, 300:]))
    assert level["DARK"] == pytest.approx(1, abs=2)
    assert level["FLAT"] == pytest.approx(13_000, rel=0.05)
    assert 50 < level["OBJECT"] < 100


def test_a_flat_shows_the_vignetting_and_the_dead_columns():
    _, cube = _open(simulate_sensor(order(data_type="FLAT", nframe=6)))
    flat = cube[:, :, :300].mean(axis=0) - 500
    assert (np.median(flat, axis=0) < 100).sum() == 2
    blocks = np.median(flat.reshape(4, 50, 6, 50), axis=(1, 3))
    assert blocks.min() < 0.97 * blocks.max()


@pytest.mark.parametrize("kind", ["missing-word", "truncated"])
def test_damage_that_cannot_be_read(kind):
    broken = DAMAGES[kind](simulate_sensor(order()))
    if kind == "truncated":
        with pytest.warns(UserWarning, match="truncated"), fits.open(io.BytesIO(broken)) as hdus:
            assert hdus[0].header["NAXIS3"] == 2
        return
    with pytest.raises(CorruptFile, match="UTC"):
        _read(broken)


def test_damage_that_contradicts_the_camera_or_itself():
    good = simulate_sensor(order())
    assert _open(DAMAGES["wrong-shape"](good))[1].shape == (2, 200, 255)
    assert np.isnan(_open(DAMAGES["nan"](good))[1]).sum() > 10
    late = _read(DAMAGES["contradicting-times"](good))
    assert late.utc_sequence > late.utc_start
    assert _read(DAMAGES["impossible-pointing"](good)).dec == pytest.approx(119.0)
