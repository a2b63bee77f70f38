"""Small images with known content, which the tests of calibration and photometry share."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from gozen.calibration.calibrate_frame import Detector
from gozen.frames.raw import RawCube
from gozen.instrument.profile import Gain
from gozen.instrument.read_header import RawHeader
from gozen.reduction.calibrated_frames import CalibratedCube


def gaussians(shape, x, y, flux, sigma=1.4):
    """Return an image of round Gaussian stars, each integrated over the pixels."""
    image = np.zeros(shape)
    reach = int(np.ceil(7 * sigma))
    for cx, cy, total in zip(*np.broadcast_arrays(*np.atleast_1d(x, y, flux)), strict=True):
        parts, places = [], []
        for size, centre in ((shape[0], cy), (shape[1], cx)):
            first, last = max(round(centre) - reach, 0), min(round(centre) + reach + 1, size)
            edges = np.arange(first, max(last, first) + 1) - 0.5
            parts.append(np.diff(erf((edges - centre) / (np.sqrt(2) * sigma))) / 2)
            places.append(slice(first, max(last, first)))
        image[tuple(places)] += total * parts[0][:, None] * parts[1][None, :]
    return image.astype(np.float32)


def scattered(rng, count, shape, margin=30.0, apart=25.0):
    """Return places of stars that keep a distance from the edge and from one another."""
    found = []
    while len(found) < count:
        place = rng.uniform(margin, shape[1] - margin), rng.uniform(margin, shape[0] - margin)
        if all(np.hypot(place[0] - x, place[1] - y) > apart for x, y in found):
            found.append(place)
    return tuple(np.array(found).T)


def detector(shape=(60, 80), reference=10, overscan="row", saturation=26000.0, e_per_adu=2.0, read_noise_e=4.0):
    """Return a detector without masters, its reference columns to the right of the active area."""
    rows, columns = shape
    return Detector(
        active=(slice(0, rows), slice(0, columns)),
        reference=(slice(0, rows), slice(columns, columns + reference)) if reference else None,
        overscan=overscan,
        gain=Gain(e_per_adu=e_per_adu, read_noise_e=read_noise_e, saturation_adu=saturation),
        saturation_adu=saturation,
        dark=np.zeros(shape, np.float32),
        inverse_flat=np.ones(shape, np.float32),
    )


def calibrated(images, levels, name="field"):
    """Return a cube of images that need no calibration, none of which is refused."""
    header = RawHeader(
        object=name, data_type="OBJECT", sensor="111", utc_start=61000.0, exposure_s=0.5, frame_time_s=0.5,
        row_time_s=0.0, utc_sequence=None, ra=None, dec=None, exposure_id=None, frame_id=name, gain="high", filter="",
        pipelines=(), project="", observer="",
    )  # fmt: skip
    raw = RawCube(header, name, (), header.utc_start + np.arange(len(images)) * header.frame_time_s / 86400)
    bare = detector(images[0].shape, saturation=60000.0)
    masks = np.zeros((len(images), *images[0].shape), np.uint8)
    return CalibratedCube(raw, bare, np.stack(images), masks, tuple(levels), {}, ())
