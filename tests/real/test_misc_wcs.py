"""Other people's files with SIP headers, gzip and Rice: pixels, keywords, and a solution with the same distortion."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from gozen.astrometry.solve import Field, SensorPointing, solve_field
from gozen.calibration.calibrate_frame import calibrate, detector_of
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import load_profile
from gozen.photometry.detect_sources import detect
from gozen.settings import AstrometrySettings, DetectionSettings

from .conftest import PROFILES

FILES = {"fram": "fram.fits.gz", "panoptes": "solved.fits.fz"}


@pytest.fixture(params=FILES)
def opened(request, observed):
    """Return the profile, our cube, and what astropy reads from the same file."""
    path = observed("misc_wcs") / FILES[request.param]
    profile = load_profile(str(PROFILES / f"{request.param}.yaml"))
    with fits.open(path) as hdus:
        image = next(hdu for hdu in hdus if hdu.shape)
        header, pixels = image.header.copy(), np.asarray(image.data)
    return profile, assemble([parse_file(path.read_bytes(), path.name)], profile), header, pixels


def wcs_of(words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy mends dates and old words of these headers, and says so
        return WCS(fits.Header(words))


def test_pixels_are_those_that_astropy_reads(opened):
    profile, cube, _, pixels = opened
    assert cube.nframe == 1
    assert cube.frame(0).shape == profile.shape
    np.testing.assert_array_equal(cube.frame(0).astype(np.float64), pixels.astype(np.float64))


def test_the_distortion_in_the_header_is_kept(opened):
    _, cube, header, _ = opened
    words = cube.files[0].words
    assert words["CTYPE1"].endswith("-SIP")
    for word in ("A_ORDER", "B_ORDER", "A_2_0", "B_0_2", "AP_1_0"):
        assert words[word] == header[word]
    x, y = np.array([10.0, 300.0, 690.0]), np.array([20.0, 650.0, 300.0])
    np.testing.assert_allclose(
        wcs_of(words).all_pix2world(x, y, 0), wcs_of(header).all_pix2world(x, y, 0), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("opened", ["panoptes"], indirect=True)  # fram shows 9 stars, too few for a distortion
def test_our_solution_of_its_stars_is_as_distorted_as_the_header(opened):
    """The stars get their places from the header's WCS; ours, from a wrong pointing and without SIP, must get there."""
    profile, cube, header, _ = opened
    sensor = profile.sensors[0].id
    image, _ = calibrate(cube.frame(0), detector_of(profile, sensor, profile.default_gain))
    sources, _ = detect(image, np.ones(image.shape, np.int16), DetectionSettings(threshold_sigma=8))
    truth = wcs_of(header)
    ra, dec = truth.all_pix2world(sources.x, sources.y, 0)
    none = np.full(len(ra), np.nan)
    g = 25 - 2.5 * np.log10(sources.flux)
    seen = np.random.default_rng(1).uniform(size=len(ra)) > 0.1
    stars = ReferenceCatalogue(np.arange(len(ra)), ra, dec, none, none, none, none, g, none, epoch=2016.0)[seen]
    rows, columns = image.shape
    centre = truth.all_pix2world((columns - 1) / 2, (rows - 1) / 2, 0)
    pointing = SensorPointing(float(centre[0]), float(centre[1]) + 30 * profile.pixel_scale_arcsec / 3600)
    field = Field(sources.x, sources.y, sources.flux, (rows, columns), pointing, 2016.0, cube.frame_id)
    solution = solve_field(field, stars, profile, AstrometrySettings(index_files=()))
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(40, columns - 40, 9), np.linspace(40, rows - 40, 9)))
    px, py = solution.pixel(*truth.all_pix2world(x, y, 0))
    assert np.hypot(px - x, py - y).max() < 0.3
    assert len(ra) > 40
