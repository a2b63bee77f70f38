"""Tables of the true values of simulated exposures: positions, fluxes and times, with their keys and columns.

Magnitudes follow ``G = zp_adu + colour_term * (BP-RP) - 2.5 log10(flux)``. The flux is in ADU per frame, for a clear
sky and pixels of response 1. Clouds multiply the flux by their transmission.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.spatial import cKDTree

from gozen.archive.small_parquet import read_parquet
from gozen.archive.stores.open_store import Store
from gozen.instrument.profile import section_slices
from gozen.simulator.camera.detector import BIAS_ADU
from gozen.simulator.camera.frame_light import SensorField, sensor_field, variables
from gozen.simulator.camera.render_stars import BETA, moffat_width
from gozen.simulator.camera.sensor_exposure import SensorExposure
from gozen.simulator.sky.events import Eclipse, Event, Flare, Mover, Transient, exposure_mean
from gozen.simulator.sky.star_arrays import Floats

REFERENCE_KEY = "truth/reference.parquet"
NEIGHBOUR_RADIUS_PX = 13.0
_DAY_S = 86400.0


def events_key(night: str) -> str:
    """Return the key of a night's table of events."""
    return f"truth/{night}/events.parquet"


def sensor_key(night: str, exposure: str, sensor: str, kind: str) -> str:
    """Return the key of a table of one sensor's exposure; ``kind`` is sensor, frames, stars, variables or movers."""
    return f"truth/{night}/{exposure}/{sensor}/{kind}.parquet"


def read_truth(store: Store, key: str) -> pa.Table:
    """Read a table of true values."""
    return read_parquet(store.read(key))


def write_truth(store: Store, key: str, table: pa.Table) -> None:
    """Write a table of true values; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    store.write(key, sink.getvalue().to_pybytes())


def sensor_tables(order: SensorExposure) -> dict[str, pa.Table]:
    """Return all tables of one sensor's exposure, by kind; calibration exposures have only ``sensor``."""
    tables = {"sensor": sensor_table(order)}
    if order.data_type == "OBJECT":
        seen = sensor_field(order)
        tables["frames"] = frames_table(order)
        tables["stars"] = stars_table(order, seen)
        tables["variables"] = variables_table(order, seen)
        tables["movers"] = movers_table(order)
    return tables


def sensor_table(order: SensorExposure) -> pa.Table:
    """Return a table of one row: the pointing, the true projection, the times and the magnitude model."""
    place = order.projection
    row = {
        "exposure": order.exposure,
        "sensor": order.sensor,
        "frame_id": order.frame_id,
        "object": order.object,
        "data_type": order.data_type,
        "gain": order.gain,
        "nframe": order.nframe,
        "utc_mjd": order.utc_mjd,
        "frame_s": order.timing.frame_s,
        "exposure_s": order.timing.exposure_s,
        "row_s": order.timing.row_s,
        "header_ra": order.ra,
        "header_dec": order.dec,
        "centre_ra": place.ra,
        "centre_dec": place.dec,
        "position_angle_deg": place.position_angle_deg,
        "scale_arcsec": place.scale_arcsec,
        "distortion": place.distortion,
        "zp_adu": order.zero_point_adu,
        "colour_term": order.sky.conditions.colour_term,
        "sky_adu": order.sky_e / order.amplifier.e_per_adu,
    }
    return pa.Table.from_pylist([row])


def frames_table(order: SensorExposure) -> pa.Table:
    """Return a table with a row for each frame.

    The columns are its start (MJD, UTC), displacement (pixels), seeing (FWHM, pixels), and the transmission while the
    middle row of the detector is exposed.
    """
    frames = np.arange(order.nframe)
    states = [order.frame_state(int(frame)) for frame in frames]
    start = order.timing.row_start(order.utc_mjd, 0, np.array(0.0)) + frames * order.timing.frame_s / _DAY_S
    middle = len(order.row_numbers) // 2
    middle_start = np.array([order.row_start(int(frame))[middle] for frame in frames])
    return pa.table(
        {
            "frame": frames.astype(np.int16),
            "mjd_start": start,
            "dx": [state.dx for state in states],
            "dy": [state.dy for state in states],
            "fwhm_px": [state.fwhm_px for state in states],
            "transmission": exposure_mean(order.sky.transmission, middle_start, order.timing.exposure_s),
        }
    )


def stars_table(order: SensorExposure, seen: SensorField) -> pa.Table:
    """Return a row for each star whose centre is on the sensor.

    ``x`` and ``y`` are 0-based pixels of the active area, without the displacement of the frames by the air.
    ``mjd_first`` is the middle of the exposure of the star's row on frame 0; for other frames add ``frame * frame_s``
    seconds. ``peak_adu`` is the raw value of the brightest pixel of a star at the centre of a pixel.
    ``neighbour_flux_adu`` is the total flux of other stars within 13 pixels.
    """
    on = on_sensor(order, seen.x, seen.y)
    stars = seen.stars.take(on)
    gain = order.amplifier.e_per_adu
    flux = seen.flux_e[on] / gain
    width = moffat_width(order.sky.conditions.fwhm_arcsec / order.profile.pixel_scale_arcsec)
    peak = flux * (BETA - 1) / (math.pi * width * width)
    return pa.table(
        {
            "source_id": stars.source_id,
            "ra": seen.ra[on],
            "dec": seen.dec[on],
            "ra_2016": stars.ra,
            "dec_2016": stars.dec,
            "g": stars.g,
            "bp_rp": stars.bp_rp,
            "x": seen.x[on],
            "y": seen.y[on],
            "mjd_first": row_middle(order, 0, seen.y[on]),
            "flux_adu": flux,
            "peak_adu": BIAS_ADU + order.sky_e / gain + peak,
            "neighbour_flux_adu": neighbour_flux(seen.x, seen.y, seen.flux_e)[on] / gain,
        }
    )


def variables_table(order: SensorExposure, seen: SensorField) -> pa.Table:
    """Return a row for each frame of each flare, eclipse and transient on the sensor.

    ``factor`` is the flux on the frame, including clouds, divided by the flux in the table of stars. A transient has a
    null ``source_id``; its ``factor`` is relative to the flux at its maximum.
    """
    rows: list[dict[str, object]] = []
    for event, index in variables(order, seen):
        place = float(seen.x[index]), float(seen.y[index])
        rows += _variable_rows(order, event, int(seen.stars.source_id[index]), place, float(seen.flux_e[index]))
    for flash in order.sky.transients():
        x, y = order.projection.pixels(np.array([flash.ra]), np.array([flash.dec]))
        flux_e = float(order.electrons(np.array(flash.g), np.array(flash.bp_rp)))
        rows += _variable_rows(order, flash, None, (float(x[0]), float(y[0])), flux_e)
    return pa.Table.from_pylist(rows, schema=_VARIABLES)


def movers_table(order: SensorExposure) -> pa.Table:
    """Return a row for each frame on which the middle of a mover's trail is on the sensor.

    ``mjd`` is the middle of the exposure of the row on which the mover is at that time; ``x``, ``y``, ``ra`` and
    ``dec`` are its position then. Columns that end in ``_start`` or ``_end`` have its position when the exposure of the
    row that it then crosses starts or ends.
    """
    rows: list[dict[str, object]] = []
    for mover in order.sky.movers():
        flux_adu = float(order.electrons(np.array(mover.g), np.array(mover.bp_rp))) / order.amplifier.e_per_adu
        for frame in range(order.nframe):
            (start, middle, end) = (_crossing(order, mover, frame, part) for part in (0.0, 0.5, 1.0))
            if on_sensor(order, np.array([middle[1]]), np.array([middle[2]]))[0]:
                ra, dec = mover.position(np.array(middle[0]))
                row = {"event": mover.name, "frame": frame, "mjd": middle[0], "ra": float(ra), "dec": float(dec)}
                places = dict(zip(_MOVER_PLACES, (*middle[1:], *start[1:], *end[1:]), strict=True))
                passed = exposure_mean(order.sky.transmission, np.array(start[0]), order.timing.exposure_s)
                rows.append({**row, **places, "flux_adu": flux_adu * float(passed)})
    return pa.Table.from_pylist(rows, schema=_MOVERS)


def events_table(events: tuple[Event, ...]) -> pa.Table:
    """Return a row for each event, with its parameters as JSON."""
    return pa.table(
        {
            "name": [event.name for event in events],
            "kind": [event.kind for event in events],
            "parameters": [json.dumps(asdict(event), sort_keys=True) for event in events],
        },
        schema=pa.schema([(name, pa.string()) for name in ("name", "kind", "parameters")]),
    )


def on_sensor(order: SensorExposure, x: Floats, y: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which positions (0-based pixels) are in the active area."""
    rows, columns = order.profile.active_shape
    return np.asarray((x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5))


def row_middle(order: SensorExposure, frame: int, y: Floats) -> Floats:
    """Return the MJD of the middle of the exposure of the row at ``y`` (0-based, active area, with fractions)."""
    return order.timing.row_middle(order.utc_mjd, frame, y + section_slices(order.profile.active)[0].start)


def neighbour_flux(x: Floats, y: Floats, flux: Floats) -> Floats:
    """Return for each star the flux of all others within 13 pixels: the radius of Tomo-e's aperture plus the seeing."""
    finite = np.isfinite(x) & np.isfinite(y)
    places = np.where(finite, x, -1e6), np.where(finite, y, -1e6)
    tree = cKDTree(np.column_stack(places))
    pairs = tree.query_pairs(NEIGHBOUR_RADIUS_PX, output_type="ndarray")
    total = np.zeros(len(flux))
    np.add.at(total, pairs[:, 0], flux[pairs[:, 1]])
    np.add.at(total, pairs[:, 1], flux[pairs[:, 0]])
    return total


_VARIABLES = pa.schema(
    [
        ("event", pa.string()),
        ("kind", pa.string()),
        ("source_id", pa.int64()),
        ("frame", pa.int16()),
        ("mjd", pa.float64()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("factor", pa.float64()),
        ("flux_adu", pa.float64()),
    ]
)
_MOVER_PLACES = ("x", "y", "x_start", "y_start", "x_end", "y_end")
_MOVERS = pa.schema(
    [("event", pa.string()), ("frame", pa.int16())]
    + [(name, pa.float64()) for name in ("mjd", "ra", "dec", *_MOVER_PLACES, "flux_adu")]
)


def _variable_rows(
    order: SensorExposure,
    event: Flare | Eclipse | Transient,
    source: int | None,
    place: tuple[float, float],
    flux_e: float,
) -> list[dict[str, object]]:
    x, y = place
    if not on_sensor(order, np.array([x]), np.array([y]))[0]:
        return []
    rows: list[dict[str, object]] = []
    for frame in range(order.nframe):
        middle = row_middle(order, frame, np.array(y))
        starts = middle - order.timing.exposure_s / 2 / _DAY_S
        factor = float(order.mean_factor(event, starts))
        rows.append(
            {
                "event": event.name,
                "kind": event.kind,
                "source_id": source,
                "frame": frame,
                "mjd": float(middle),
                "x": x,
                "y": y,
                "factor": factor,
                "flux_adu": factor * flux_e / order.amplifier.e_per_adu,
            }
        )
    return rows


def _crossing(order: SensorExposure, mover: Mover, frame: int, part: float) -> tuple[float, float, float]:
    """Return MJD, x and y at which a mover crosses a row that has been exposed for the fraction ``part``."""
    first = section_slices(order.profile.active)[0].start
    y = order.profile.active_shape[0] / 2
    mjd, x = order.utc_mjd, 0.0
    for _ in range(40):
        start = float(order.timing.row_start(order.utc_mjd, frame, np.array(y + first)))
        mjd = start + part * order.timing.exposure_s / _DAY_S
        xs, ys = order.projection.pixels(*mover.position(np.array([mjd])))
        x, y = float(xs[0]), float(np.clip(ys[0], -1e5, 1e5))
    return mjd, x, y
