"""Make the rows, map and films of moving objects in the demo's report."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

from gozen.archive.commit import Summary
from gozen.archive.stores.open_store import Store
from gozen.archive.tracklet_record import TrackletRecord
from gozen.astrometry.tangent_plane import from_plane
from gozen.catalog.format.partition_parquet import numbers
from gozen.demo.compare_movers import MoverPair, Pairing, Spurious
from gozen.demo.demo_results import Findings
from gozen.plots.field_map import MOST_CLOSE_UPS, TrackPath, draw_field
from gozen.plots.mover_film import film_strip
from gozen.plots.style import DARK, LIGHT, picture
from gozen.report.report_model import Film, MoverRow, MoverState, Picture
from gozen.simulator.sky.events import Mover

Floats = NDArray[np.float64]
FALSE = "false tracklet"
_PATH_POINTS = 50


@dataclass(frozen=True)
class _PicturedMover:
    """A tracklet with the name of its object, or of a false tracklet."""

    name: str
    exposure: str
    sensor: str
    record: TrackletRecord
    mover: Mover | None = None


def mover_rows(paired: Pairing) -> tuple[MoverRow, ...]:
    """Return a row for each injected moving object on each sensor, then a row for each false tracklet."""
    pairs = [_pair_row(one) for one in paired.pairs]
    return (*pairs, *(_false_row(one) for one in paired.spurious))


def films(store: Store, found: Findings) -> tuple[Film, ...]:
    """Return a film of each tracklet, from the product ``neo`` of its sensor."""
    products = {(one.exposure, one.sensor): one.products["neo"].key for one in found.commits if "neo" in one.products}
    return tuple(
        _film(one, _cutouts(store, products[one.exposure, one.sensor], one.record.tracklet)) for one in _named(found)
    )


def field_pictures(found: Findings) -> tuple[Picture, ...]:
    """Draw a map of the sensors with tracklets; return nothing if there are no tracklets."""
    named = _named(found)
    if not named:
        return ()
    sensors = {one.sensor for one in named}
    solved = [one.summary for one in found.commits if one.sensor in sensors and one.summary.wcs_method]
    outlines = [corners(one, found.profile.active_shape) for one in solved]
    ra, dec, mag = _stars(found.rows, sensors)
    paths = [_path(one) for one in named]
    light, dark = (picture(draw_field(ra, dec, mag, paths, outlines, theme=theme), "svg") for theme in (LIGHT, DARK))
    names = ", ".join(dict.fromkeys(path.name for path in paths))
    alt = (
        f"Map of the field in equatorial coordinates, East left: {len(ra):,} stars by brightness, the outlines of "
        f"sensor {', '.join(sorted(sensors))}, and arrows along the tracks of {names}; below, each track."
    )
    caption = (
        "Arrows point where an object went; those of slow ones are drawn longer than their track. Times are those of "
        f"the first point. Below, at most {MOST_CLOSE_UPS} tracks from their middles: points are measured, the dashed "
        "line was injected."
    )
    return (Picture("The field", alt, light, dark, caption=caption, wide=True),)


def corners(summary: Summary, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the corners of a sensor's active area on the sky, degrees, from its centre, scale and orientation.

    Parameters
    ----------
    summary
        The summary of the sensor's commit; without a solution the arrays are empty.
    shape
        Rows and columns of the active area.
    """
    if (
        summary.ra is None
        or summary.dec is None
        or summary.pixel_scale_arcsec is None
        or summary.orientation_deg is None
    ):
        return np.empty(0), np.empty(0)
    rows, columns = (size * summary.pixel_scale_arcsec / 3600 for size in shape)
    angle = np.radians(summary.orientation_deg)
    across, up = np.array([-1, 1, 1, -1]) * columns / 2, np.array([-1, -1, 1, 1]) * rows / 2
    xi = up * np.sin(angle) + across * np.cos(angle)
    eta = up * np.cos(angle) - across * np.sin(angle)
    return from_plane(xi, eta, summary.ra, summary.dec)


def in_words(row: MoverRow) -> str:
    """Return a row as one line of text for the terminal."""
    where = f"{row.name}, exposure {row.exposure}, sensor {row.sensor}"
    if row.state == "missed" or row.state == "too slow":
        return f"{row.state:<9}{where}"
    rate = "rate unknown" if row.rate is None else f"{row.rate:,.1f} arcsec/min"
    injected = "" if row.true_rate is None else f" (injected: {row.true_frames} frames, {row.true_rate:,.1f})"
    return f"{row.state:<9}{where}: tracklet {row.tracklet}, {row.frames} frames, {rate}{injected}"


def _pair_row(one: MoverPair) -> MoverRow:
    missing: MoverState = "missed" if one.findable else "too slow"
    row = MoverRow(
        one.mover.name,
        one.exposure,
        one.sensor_id,
        "found" if one.found is not None else missing,
        true_frames=one.frames,
        true_rate=one.rate,
        true_direction=one.direction,
        true_mag=one.mover.g,
    )
    return row if one.found is None else _filled(row, one.found, one.rms)


def _false_row(one: Spurious) -> MoverRow:
    return _filled(MoverRow(FALSE, one.exposure, one.sensor_id, "false"), one.found, None)


def _filled(row: MoverRow, record: TrackletRecord, rms: float | None) -> MoverRow:
    return replace(
        row,
        tracklet=record.tracklet,
        frames=record.n_frames,
        rate=record.rate_arcsec_min,
        rate_err=record.rate_err_arcsec_min,
        direction=record.position_angle_deg,
        rms=rms,
        mag=record.mag_mean,
        snr=record.snr,
    )


def _named(found: Findings) -> list[_PicturedMover]:
    pairs = [
        _PicturedMover(one.mover.name, one.exposure, one.sensor_id, one.found, one.mover)
        for one in found.movers.pairs
        if one.found is not None
    ]
    return pairs + [_PicturedMover(FALSE, one.exposure, one.sensor_id, one.found) for one in found.movers.spurious]


def _cutouts(store: Store, key: str, tracklet: str) -> NDArray[np.float32]:
    """Return a tracklet's film, shape (frames, side, side)."""
    with fits.open(io.BytesIO(store.read(key)), memmap=False) as hdus:
        return np.asarray(hdus[tracklet].data, np.float32)


def _film(one: _PicturedMover, cutouts: NDArray[np.float32]) -> Film:
    record = one.record
    shown = [number for number, image in enumerate(cutouts) if np.isfinite(image).any()]
    labels = tuple(f"frame {number + 1} of {len(cutouts)}" for number in shown)
    what = "a trail" if record.kind == "streak" else "a point"
    alt = (
        f"Film of {len(shown)} frames of tracklet {record.tracklet}, the {one.name}: {what} that remains in the middle "
        "while the stars move past it."
    )
    mag = "" if record.mag_mean is None else f", {record.mag_mean:.1f} mag"
    rate = "rate unknown" if record.rate_arcsec_min is None else f"{record.rate_arcsec_min:,.1f}″/min"
    caption = f"{record.tracklet}: {rate}{mag}. Exposure {one.exposure}, sensor {one.sensor}."
    return Film(one.name[0].upper() + one.name[1:], alt, film_strip(cutouts[shown]), labels, caption)


def _path(one: _PicturedMover) -> TrackPath:
    points = one.record.points
    ra, dec, mjd, error = (
        np.array([getattr(point, name) for point in points], np.float64)
        for name in ("ra", "dec", "mjd", "position_err_arcsec")
    )
    label = f"{one.name}, {one.exposure.lstrip('0')}: {one.record.tracklet}"
    path = TrackPath(one.name, label, ra, dec, mjd, error, one.record.rate_arcsec_min)
    if one.mover is None:
        return path
    true_ra, true_dec = one.mover.position(np.linspace(mjd.min(), mjd.max(), _PATH_POINTS))
    return replace(path, true_ra=true_ra, true_dec=true_dec)


def _stars(rows: pa.Table, sensors: set[str]) -> tuple[Floats, Floats, Floats]:
    """Return ra, dec and magnitude of each source of some sensors, from one of its rows in the light-curve table."""
    rows = rows.filter(pa.array(np.isin(numbers(rows, "sensor"), [int(one) for one in sensors])))
    _, first = np.unique(numbers(rows, "source_id"), return_index=True)
    ra, dec, mag = (np.asarray(rows[name].to_numpy(), np.float64)[first] for name in ("ra_meas", "dec_meas", "mag"))
    known = np.isfinite(mag)
    return ra[known], dec[known], mag[known]
