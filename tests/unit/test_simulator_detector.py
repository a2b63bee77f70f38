"""Test the simulated detector: noise by gain and read noise, saturation, reference columns, fixed patterns."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.instrument.profile import Gain
from gozen.simulator.camera.detector import BIAS_ADU, Pattern, pattern, read_out
from gozen.simulator.sky.random_streams import stream

from .simulator_samples import small_profile

PROFILE = small_profile()
SHAPE = PROFILE.active_shape
PLAIN = Pattern(
    response=np.ones(SHAPE, np.float32),
    dark=np.zeros(SHAPE, np.float32),
    column_bias=np.zeros(SHAPE[1], np.float32),
    row_bias=np.zeros(PROFILE.shape[0], np.float32),
    dead_columns=(),
)


def _pairs(level_e, gain, fixed=PLAIN, exposure_s=0.5):
    light = np.full(SHAPE, level_e, np.float32)
    return [read_out(stream(1, "t", level_e, k), light, fixed, PROFILE, gain, exposure_s).astype(float) for k in (0, 1)]


@pytest.mark.parametrize("gain", PROFILE.gains.values(), ids=PROFILE.gains)
@pytest.mark.parametrize("level_e", [0.0, 4.0, 20.0, 300.0, 3000.0])
def test_noise_is_that_of_photons_and_read_out(gain, level_e):
    """Photon transfer: half the variance of the difference of two frames, within rows so that row offsets cancel."""
    first, second = _pairs(level_e, gain)
    columns = SHAPE[1]
    difference = (first - second)[:, :columns]
    variance = difference.var(axis=1, ddof=1).mean() / 2
    predicted = (level_e + gain.read_noise_e**2) / gain.e_per_adu**2 + 1 / 12
    assert variance == pytest.approx(predicted, rel=0.02)
    signal = (first[:, :columns].mean(axis=1) - first[:, columns:].mean(axis=1)).mean()
    assert signal == pytest.approx(level_e / gain.e_per_adu, abs=5 * np.sqrt(predicted / 20_000))


def test_counts_of_faint_light_are_poisson():
    quiet = Gain(e_per_adu=1.0, read_noise_e=0.0, saturation_adu=26000)
    first = _pairs(2.0, quiet)[0]
    electrons = (first - np.round(first[:, SHAPE[1] :].mean(axis=1, keepdims=True)))[:, : SHAPE[1]].ravel()
    observed = np.bincount(electrons.astype(int), minlength=4)[:4] / electrons.size
    np.testing.assert_allclose(observed, np.exp(-2.0) * np.array([1, 2, 2, 4 / 3]), atol=0.01)


def test_bright_pixels_stop_above_saturation():
    gain = PROFILE.gains["high"]
    frames = [_pairs(level, gain)[0][:, : SHAPE[1]] for level in (5000.0, 7000.0, 1e5)]
    medians = [np.median(frame) for frame in frames]
    assert medians[0] == pytest.approx(5000 / gain.e_per_adu + BIAS_ADU, rel=0.01)
    assert gain.saturation_adu < medians[1] < 7000 / gain.e_per_adu
    assert frames[2].max() <= gain.saturation_adu * 1.1 + 1
    assert medians[2] > medians[1]


def test_reference_columns_see_no_light_and_share_the_row_offsets():
    fixed = pattern(3, "111", SHAPE, PROFILE.shape[0])
    frame = _pairs(200.0, PROFILE.gains["high"], fixed)[0]
    dark = _pairs(0.0, PROFILE.gains["high"], fixed)[0]
    columns = SHAPE[1]
    assert frame[:, columns:].mean() == pytest.approx(BIAS_ADU, abs=6)
    in_reference = dark[:, columns:].mean(axis=1)
    in_active = np.median(dark[:, :columns], axis=1)
    assert np.corrcoef(in_reference, in_active)[0, 1] > 0.7


def test_dark_current_grows_with_the_exposure():
    fixed = pattern(3, "111", SHAPE, PROFILE.shape[0])
    gain = PROFILE.gains["high"]
    short, long = (_pairs(0.0, gain, fixed, seconds)[0] for seconds in (0.5, 20.5))
    grown = (long - long[:, SHAPE[1] :].mean()) - (short - short[:, SHAPE[1] :].mean())
    unsaturated = fixed.dark < 10
    assert grown[:, : SHAPE[1]][unsaturated].mean() * gain.e_per_adu == pytest.approx(
        20 * fixed.dark[unsaturated].mean(), rel=0.05
    )


def test_a_pattern_belongs_to_its_sensor_and_its_response_has_mean_one():
    one, same, other = (pattern(3, name, SHAPE, PROFILE.shape[0]) for name in ("111", "111", "112"))
    np.testing.assert_array_equal(one.response, same.response)
    assert not np.array_equal(one.response, other.response)
    assert one.response.mean() == pytest.approx(1.0, abs=0.02)
    assert (one.response[:, list(one.dead_columns)] == 0).all()
