"""The simulator over its complete range: projections, fluxes, motions and headers for any position, colour and time."""

from __future__ import annotations

import numpy as np
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from gozen.instrument.profile import load_profile
from gozen.instrument.read_header import read_header
from gozen.simulator.camera.projection import project
from gozen.simulator.camera.raw_header import RawWords, frame_id, raw_header
from gozen.simulator.camera.render_stars import add_stars, encircled, moffat_width
from gozen.simulator.camera.row_timing import Timing
from gozen.simulator.sky.events import Eclipse, Flare, Mover, exposure_mean
from gozen.simulator.sky.population import FAINTEST, density, magnitude, nature
from gozen.simulator.sky.random_streams import stream

PROFILE = load_profile("tomoe")
RA = st.floats(0, 360, exclude_max=True)
DEC = st.floats(-89.9, 89.9)
SENSOR = st.sampled_from([sensor.id for sensor in PROFILE.sensors])
MJD = st.floats(58849, 70000)


@given(ra=RA, dec=DEC, sensor=SENSOR, x=st.floats(0, 1999), y=st.floats(0, 1127), seed=st.integers(0, 2**40))
def test_pixels_and_sky_undo_each_other(ra, dec, sensor, x, y, seed):
    place = project(PROFILE, sensor, ra, dec, seed=seed, rotation_deg=0.2, distortion_px=0.5)
    back = place.pixels(*place.sky(np.array([x]), np.array([y])))
    np.testing.assert_allclose([value[0] for value in back], [x, y], atol=2e-4)


@given(x=st.floats(60, 140), y=st.floats(60, 140), flux=st.floats(1e3, 1e6), fwhm=st.floats(2.5, 6.0))
def test_any_star_keeps_its_flux(x, y, flux, fwhm):
    image = np.zeros((201, 201), np.float32)
    add_stars(image, np.array([x]), np.array([y]), np.array([flux]), np.ones(201), moffat_width(fwhm))
    assert encircled(50, moffat_width(fwhm)) - 0.02 <= image.sum(dtype=float) / flux <= 1.002


@given(mjd=MJD, dx=st.floats(-1e3, 1e3), dy=st.floats(-1e3, 1e3), dec=st.floats(-80, 80), seconds=st.floats(-60, 60))
def test_a_mover_moves_at_its_rate(mjd, dx, dy, dec, seconds):
    mover = Mover("m", 180.0, dec, mjd, dx, dy, g=10.0)
    ra, moved = mover.position(np.array(mjd + seconds / 86400))
    assert abs((float(ra) - 180.0) * 3600 * np.cos(np.radians(dec)) - dx * seconds) < 1e-2
    assert abs((float(moved) - dec) * 3600 - dy * seconds) < 1e-2


@given(
    mjd=MJD,
    amplitude=st.floats(0.1, 100),
    rise=st.floats(0.1, 10),
    decay=st.floats(0.1, 100),
    depth=st.floats(0, 1),
    seconds=st.floats(-100, 100),
)
def test_factors_stay_between_their_ends(mjd, amplitude, rise, decay, depth, seconds):
    start = np.array(mjd + seconds / 86400)
    flare = exposure_mean(Flare("f", 1, mjd, amplitude, rise, decay).factor, start, 0.5)
    eclipse = exposure_mean(Eclipse("e", 1, mjd, depth, 20.0, 3.0).factor, start, 0.5)
    assert 1 - 1e-9 <= flare <= 1 + amplitude + 1e-9
    assert 1 - depth - 1e-9 <= eclipse <= 1 + 1e-9


@given(g=st.floats(6.0, FAINTEST))
def test_magnitude_is_the_inverse_of_density(g):
    assert abs(float(magnitude(np.array(density(g)))) - g) < 1e-9


@given(seed=st.integers(0, 2**31), g=st.lists(st.floats(2, FAINTEST), min_size=1, max_size=50))
def test_any_star_has_a_finite_nature(seed, g):
    drawn = nature(stream(seed, "t"), np.array(g))
    assert np.isfinite(drawn).all()
    assert (drawn[1] > 0).all()


@given(
    ra=RA,
    dec=st.floats(-90, 90),
    mjd=MJD,
    lead=st.floats(0.2, 0.7),
    exposure=st.integers(0, 99_999_999),
    sensor=SENSOR,
    name=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30),
    nframe=st.integers(1, 10_000),
)
def test_any_header_is_read_back(ra, dec, mjd, lead, exposure, sensor, name, nframe):
    words = RawWords(
        sensor=sensor,
        exposure=f"{exposure:08d}",
        frame_id=frame_id("20261120", exposure, sensor),
        object=name,
        data_type="OBJECT",
        nframe=nframe,
        sequence_mjd=mjd,
        utc_mjd=mjd + lead / 86400,
        ra=ra,
        dec=dec,
        gain="low",
        pipelines=("wcs",),
        project="",
        observer="",
    )
    text = raw_header(words, PROFILE, Timing()).tostring()
    assert len(text) % 2880 == 0
    found = read_header(fits.Header.fromstring(text), PROFILE, "generated")
    assert found.object == name
    assert (found.exposure_id, found.sensor, found.frame_id) == (words.exposure, sensor, words.frame_id)
    assert abs(found.utc_start - words.utc_mjd) * 86400 < 2e-6
    assert abs((found.ra - ra + 180) % 360 - 180) < 1e-5
    assert abs(found.dec - dec) < 2e-6
