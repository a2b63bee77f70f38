"""Build the light-curve rows of one sensor and exposure: every source on every frame, as an Arrow table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.keys import Processing
from gozen.catalog.format.schema import Flag, lightcurve_table
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue
from gozen.lightcurves.zero_point import ZeroPoint
from gozen.photometry.forced_photometry import ApertureSet, FrameFluxes

Floats = NDArray[np.float64]
_POGSON = 2.5 / np.log(10)


@dataclass(frozen=True)
class SensorSources:
    """Sources of one sensor's stack, with positions and matched stars; arrays of shape (sources,).

    Parameters
    ----------
    x, y
        0-based pixels of the active area.
    ra, dec
        Positions measured on the stack, ICRS degrees.
    star
        Index into ``stars``, -1 for a source that matches no reference star.
    stars
        The reference stars to which ``star`` refers.
    blended
        Whether light of a neighbour is in the aperture.
    scale_arcsec
        Pixel scale, arcsec per pixel.
    calibrated_by_blends
        Whether the zero point was computed from blended stars.
    """

    x: Floats
    y: Floats
    ra: Floats
    dec: Floats
    star: NDArray[np.intp]
    stars: ReferenceCatalogue
    blended: NDArray[np.bool_]
    scale_arcsec: float
    calibrated_by_blends: bool = False

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Mask of the sources that match a reference star."""
        return np.asarray(self.star >= 0)

    def of_star(self, values: Floats) -> Floats:
        """Return a value of each source's star, given the values of all stars; NaN for a source without a star."""
        if len(values) == 0:
            return np.full(len(self.star), np.nan)
        return np.where(self.matched, values[self.star], np.nan)


@dataclass(frozen=True)
class FrameRows:
    """Measurements of all sources on one frame.

    Parameters
    ----------
    frame
        Number of the frame in the cube, from 0.
    mjd
        Mid-exposure time of the detector row of each source, MJD (UTC), shape (sources,).
    """

    frame: int
    mjd: Floats
    fluxes: FrameFluxes


@dataclass(frozen=True)
class RowLabels:
    """Values that are equal in all rows of one sensor and exposure.

    Parameters
    ----------
    band
        Filter as in the header; empty if the header does not state it.
    """

    processing: Processing
    sensor: str
    band: str = ""


def sensor_rows(
    sources: SensorSources, frames: list[FrameRows], apertures: ApertureSet, zero: ZeroPoint | None, labels: RowLabels
) -> pa.Table:
    """Build the rows of one sensor and exposure, frame by frame.

    Parameters
    ----------
    apertures
        Apertures in which the frames were measured; the first is calibrated.
    zero
        Zero point; None leaves magnitudes null and sets the flag `NO_CALIBRATION`.

    Returns
    -------
    A table of the light-curve schema. Sources without a star have null ids; the append of the night gives them ids.
    """
    count, further = len(frames), apertures.diameters_px[1:]
    flux = np.stack([frame.fluxes.flux for frame in frames])
    error = np.stack([frame.fluxes.flux_err for frame in frames])
    sky_err = np.stack([frame.fluxes.sky_err for frame in frames])
    flags = np.stack([frame.fluxes.flags for frame in frames]) | _source_flags(sources, zero)
    columns: dict[str, object] = {
        **_per_star(sources, count),
        "ra_meas": np.tile(sources.ra, count),
        "dec_meas": np.tile(sources.dec, count),
        "mjd": np.concatenate([frame.mjd for frame in frames]),
        "flux": flux[:, 0].ravel(),
        "flux_err": error[:, 0].ravel(),
        "flux_auto": np.concatenate([frame.fluxes.flux_auto for frame in frames]),
        **_magnitudes(sources, flux[:, 0], error[:, 0], apertures.limit_sigma * sky_err, zero),
        "x": np.tile(sources.x, count),
        "y": np.tile(sources.y, count),
        "flags": flags.ravel(),
        "frame": np.repeat([frame.frame for frame in frames], len(sources.x)),
    }
    for index, diameter in enumerate(further, start=1):
        columns[f"flux_{diameter}"] = flux[:, index].ravel()
        columns[f"flux_err_{diameter}"] = error[:, index].ravel()
    rows, processing = count * len(sources.x), labels.processing
    constant: dict[str, str | int] = {
        "origin": "stack",
        "night": int(processing.night),
        "exposure": processing.exposure,
        "run": processing.run,
        "sensor": int(labels.sensor),
        "aperture_diameter": apertures.diameters_px[0],
    }
    columns |= {name: pa.repeat(value, rows) for name, value in constant.items()}
    if labels.band:
        columns["filter"] = pa.repeat(labels.band, rows)
    return lightcurve_table(columns, further)


def _per_star(sources: SensorSources, count: int) -> dict[str, object]:
    stars = sources.stars
    lone = np.tile(~sources.matched, count)
    ids = stars.source_id[sources.star] if len(stars) else np.zeros(len(sources.star), np.int64)
    columns: dict[str, object] = {"source_id": np.ma.masked_array(np.tile(ids, count), lone)}
    for column, values in (
        ("ra", stars.ra),
        ("dec", stars.dec),
        ("phot_g_mean_mag", stars.g),
        ("bp_rp", stars.bp_rp),
        ("parallax", stars.parallax),
        ("pmra", stars.pmra),
        ("pmdec", stars.pmdec),
        ("ruwe", stars.ruwe),
    ):
        columns[column] = np.tile(sources.of_star(values), count)
    return columns


def _source_flags(sources: SensorSources, zero: ZeroPoint | None) -> NDArray[np.uint16]:
    flags = np.zeros(len(sources.x), np.uint16)
    for found, flag in (
        (sources.blended, Flag.BLENDED),
        (~sources.matched, Flag.UNMATCHED),
        (~np.isfinite(sources.of_star(sources.stars.bp_rp)), Flag.NO_COLOUR),
        (np.full(len(flags), zero is None), Flag.NO_CALIBRATION),
        (np.full(len(flags), sources.calibrated_by_blends), Flag.BLENDED_CALIBRATORS),
    ):
        flags[found] |= np.uint16(flag)
    return flags


def _magnitudes(
    sources: SensorSources, flux: Floats, error: Floats, faintest: Floats, zero: ZeroPoint | None
) -> dict[str, object]:
    """Return the columns of magnitudes, their errors, limits and the zero point; empty without a calibration."""
    if zero is None:
        return {}
    colour = sources.of_star(sources.stars.bp_rp)
    with np.errstate(divide="ignore", invalid="ignore"):
        mag_err = np.where(flux > 0, _POGSON * error / flux, np.nan)
    return {
        "mag": zero.magnitude(flux, colour).ravel(),
        "mag_err": mag_err.ravel(),
        "limit": zero.magnitude(faintest, colour).ravel(),
        "zp": np.full(flux.size, zero.zp),
        "zp_err": np.full(flux.size, zero.zp_err),
        "colour_term": np.full(flux.size, zero.colour_term),
    }
