"""Simulate the raw cube of one sensor as the bytes of a FITS file. No I/O."""

from __future__ import annotations

import numpy as np

from gozen.simulator.camera import detector, raw_header
from gozen.simulator.camera.frame_light import calibration_light, sensor_field, sky_light
from gozen.simulator.camera.sensor_exposure import SensorExposure
from gozen.simulator.sky.random_streams import stream


def simulate_sensor(order: SensorExposure) -> bytes:
    """Return the FITS file of one sensor's raw cube; the same order gives the same bytes in every process."""
    cube = np.empty((order.nframe, *order.profile.shape), np.uint16)
    fixed = detector.pattern(order.sky.seed, order.sensor, order.profile.active_shape, order.profile.shape[0])
    seen = sensor_field(order) if order.data_type == "OBJECT" else None
    for frame in range(order.nframe):
        light = calibration_light(order, frame) if seen is None else sky_light(order, seen, frame)
        rng = stream(order.sky.seed, "noise", order.exposure, order.sensor, frame)
        cube[frame] = detector.read_out(rng, light, fixed, order.profile, order.amplifier, order.timing.exposure_s)
    return raw_header.fits_bytes(raw_header.raw_header(raw_words(order), order.profile, order.timing), cube)


def raw_words(order: SensorExposure) -> raw_header.RawWords:
    """Return the values for the raw file's header."""
    return raw_header.RawWords(
        sensor=order.sensor,
        exposure=order.exposure,
        frame_id=order.frame_id,
        object=order.object,
        data_type=order.data_type,
        nframe=order.nframe,
        sequence_mjd=order.start_mjd,
        utc_mjd=order.utc_mjd,
        ra=order.ra,
        dec=order.dec,
        gain=order.gain,
        pipelines=order.pipelines,
        project=order.project,
        observer=order.observer,
    )
