"""Pair rows of the light-curve table with the values that the simulator injected."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format.partition_parquet import numbers
from gozen.catalog.format.schema import Flag
from gozen.simulator import truth_tables
from gozen.simulator.truth_tables import NEIGHBOUR_RADIUS_PX

Floats = NDArray[np.float64]
_DAY_S = 86400.0
_UNUSABLE = Flag.SATURATED | Flag.EDGE | Flag.DEAD_PIXEL | Flag.REGISTRATION_FAILED | Flag.NO_CALIBRATION
_MAD = 1.4826


@dataclass(frozen=True)
class SensorTruth:
    """The injected values of one sensor in one exposure (`truth_tables`), and the camera's constants.

    Parameters
    ----------
    e_per_adu, read_noise_e
        Electrons per ADU, and the read noise of a pixel, electrons.
    sensor, frames, stars, variables, movers
        The simulator's tables.
    """

    exposure: str
    sensor_id: str
    e_per_adu: float
    read_noise_e: float
    sensor: pa.Table
    frames: pa.Table
    stars: pa.Table
    variables: pa.Table
    movers: pa.Table

    def constant(self, name: str) -> float:
        """Return a number from the table ``sensor``, such as ``frame_s``."""
        return float(self.sensor[name][0].as_py())

    @property
    def clear(self) -> bool:
        """Whether the exposure is without clouds."""
        return bool(np.all(numbers(self.frames, "transmission") > 0.9995))


@dataclass(frozen=True)
class PairedStars:
    """Recovered and injected values of catalogue stars that were found; arrays of shape (stars,).

    Parameters
    ----------
    g
        True G magnitude.
    residual
        Median of the recovered magnitudes minus the injected magnitude, mag.
    scatter, predicted
        Robust scatter of the recovered magnitudes over the frames, and the scatter predicted from star, sky and read
        noise, mag.
    d_ra, d_dec
        Recovered minus injected position, arcsec on the sky.
    time_s
        Recovered minus injected mid-exposure of the frame with the largest difference, seconds.
    isolated
        Whether the star is not variable, never has a flag of bad data, and gets less than 1 % of its light from
        neighbours.
    """

    source_id: NDArray[np.int64]
    g: Floats
    residual: Floats
    scatter: Floats
    predicted: Floats
    d_ra: Floats
    d_dec: Floats
    time_s: Floats
    isolated: NDArray[np.bool_]

    def between(self, brightest: float, faintest: float) -> NDArray[np.bool_]:
        """Return which stars are isolated and in a range of magnitudes."""
        return np.asarray(self.isolated & (self.g >= brightest) & (self.g < faintest))


def read_sensor_truth(
    store: Store, night: str, exposure: str, sensor: str, e_per_adu: float, read_noise_e: float
) -> SensorTruth:
    """Read the injected values of one sensor's exposure of the sky."""
    kinds = ("sensor", "frames", "stars", "variables", "movers")
    tables = (truth_tables.read_truth(store, truth_tables.sensor_key(night, exposure, sensor, kind)) for kind in kinds)
    return SensorTruth(exposure, sensor, e_per_adu, read_noise_e, *tables)


def rows_of(rows: pa.Table, injected: SensorTruth) -> pa.Table:
    """Return the rows of one sensor's exposure."""
    of_exposure = rows["exposure"].to_numpy(zero_copy_only=False) == injected.exposure
    return rows.filter(pa.array(of_exposure & (numbers(rows, "sensor") == int(injected.sensor_id))))


def pair_stars(rows: pa.Table, injected: SensorTruth, diameter_px: float) -> PairedStars:
    """Pair recovered stars with injected ones by their id.

    Parameters
    ----------
    rows
        Rows of the light-curve table; rows of other sensors and exposures are ignored.
    injected
        The injected values of the sensor and exposure.
    diameter_px
        The diameter of the aperture in which fluxes were measured, pixels.
    """
    cube = _cube(rows_of(rows, injected))
    if not len(cube.source_id):
        none = np.empty(0)
        return PairedStars(cube.source_id, none, none, none, none, none, none, none, np.empty(0, bool))
    known = numbers(injected.stars, "source_id")
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, cube.source_id, sorter=order), len(known) - 1)
    star = order[place]
    found = known[star] == cube.source_id
    cube, star = cube.take(found), star[found]
    column = {name: numbers(injected.stars, name)[star] for name in injected.stars.column_names}
    residual = _median(cube.mag) - column["g"]
    frame_days = cube.frame[:, None] * injected.constant("frame_s") / _DAY_S
    variable = np.isin(cube.source_id, injected.variables["source_id"].drop_null().to_numpy())
    alone = column["neighbour_flux_adu"] < 0.01 * column["flux_adu"]
    return PairedStars(
        cube.source_id,
        column["g"],
        residual,
        _scatter(cube.mag),
        predicted_scatter(column["flux_adu"], injected, diameter_px),
        (cube.ra - column["ra"]) * 3600 * np.cos(np.radians(column["dec"])),
        (cube.dec - column["dec"]) * 3600,
        _worst((cube.mjd - column["mjd_first"] - frame_days) * _DAY_S),
        np.asarray(alone & ~variable & ((cube.flags & _UNUSABLE) == 0).all(axis=0)),
    )


def predicted_scatter(flux_adu: Floats, injected: SensorTruth, diameter_px: float) -> Floats:
    """Return the scatter (mag) predicted from star, sky and read noise (Merline & Howell 1995, ExA 6, 163)."""
    pixels = np.pi * diameter_px**2 / 4
    star_e = flux_adu * injected.e_per_adu
    sky_e = injected.constant("sky_adu") * injected.e_per_adu
    noise_e = np.sqrt(star_e + pixels * (sky_e + injected.read_noise_e**2))
    return np.asarray(2.5 / np.log(10) * noise_e / star_e)


def findable(injected: SensorTruth, faintest: float, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the ids of isolated stars brighter than a magnitude and not near the edges of the sensor."""
    stars = {name: numbers(injected.stars, name) for name in injected.stars.column_names}
    rows, columns = shape
    x, y, margin = stars["x"], stars["y"], 2 * NEIGHBOUR_RADIUS_PX
    inside = (x > margin) & (x < columns - margin) & (y > margin) & (y < rows - margin)
    alone = stars["neighbour_flux_adu"] < 0.01 * stars["flux_adu"]
    found: NDArray[np.int64] = stars["source_id"][inside & alone & (stars["g"] < faintest)]
    return found


@dataclass(frozen=True)
class _Cube:
    """The rows of one sensor's exposure as arrays of shape (frames, sources); position and id have shape (sources,)."""

    frame: NDArray[np.int64]
    source_id: NDArray[np.int64]
    ra: Floats
    dec: Floats
    mag: Floats
    mjd: Floats
    flags: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> _Cube:
        """Return some of the sources."""
        arrays = {name: values[..., which] for name, values in vars(self).items() if name != "frame"}
        return _Cube(frame=self.frame, **arrays)


def _cube(rows: pa.Table) -> _Cube:
    frame, number = np.unique(numbers(rows, "frame"), return_inverse=True)
    source_id, index = np.unique(numbers(rows, "source_id"), return_inverse=True)

    def plane(name: str) -> Floats:
        values = np.full((len(frame), len(source_id)), np.nan)
        values[number, index] = rows[name].to_numpy()
        return values

    flags = np.zeros((len(frame), len(source_id)), np.int64)
    flags[number, index] = numbers(rows, "flags")
    ra, dec = (_median(plane(name)) for name in ("ra_meas", "dec_meas"))
    return _Cube(frame, source_id, ra, dec, plane("mag"), plane("mjd"), flags)


def _scatter(values: Floats) -> Floats:
    """Return 1.4826 MAD along the first axis, corrected for few frames (Croux & Rousseeuw 1992, COMPSTAT 1, 411)."""
    frames = len(values)
    return np.asarray(_MAD * frames / max(frames - 0.8, 1.0) * _median(np.abs(values - _median(values))))


def _median(values: Floats) -> Floats:
    """Return the median along the first axis without NaN; NaN if all values are NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a source without any positive flux has only NaN magnitudes
        return np.asarray(np.nanmedian(values, axis=0))


def _worst(errors: Floats) -> Floats:
    """Return the error with the largest absolute value along the first axis."""
    return np.asarray(np.take_along_axis(errors, np.argmax(np.abs(errors), axis=0)[None], axis=0)[0])
