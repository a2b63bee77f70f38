"""Collect the demo's results from its archive: light curves, commits, and the injected values."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.archive.commit import SensorCommit, load_commit
from gozen.archive.keys import commits as commits_of
from gozen.archive.stores.open_store import Store
from gozen.calibration.calibrate_frame import detector_of
from gozen.catalog.format.partition_parquet import numbers
from gozen.catalog.read.lookup import Catalog
from gozen.demo.compare_movers import Pairing, pair_movers
from gozen.demo.compare_stars import happened
from gozen.demo.pair_with_truth import SensorTruth, pair_stars, read_sensor_truth
from gozen.errors import MissingObject
from gozen.instrument.profile import Profile
from gozen.lightcurves.append_commits import TABLE
from gozen.lightcurves.light_curve_parts import diameters_of
from gozen.plots.light_curve_plot import Injected
from gozen.simulator import truth_tables

_DAY_S = 86400.0
_FRAMES = re.compile(r"truth/(\d{8})/([^/]+)/([^/]+)/frames\.parquet")
_CONE_ARCSEC = 2.0
_QUIET_MAG = 12.5


@dataclass(frozen=True)
class LookUp:
    """One star that was looked up.

    Parameters
    ----------
    name
        The event's name, or ``quiet star``.
    source_id, ra, dec, g
        The star's id, position (degrees) and magnitude.
    rows
        The result of the look-up.
    expected
        The number of the star's rows that the look-up should give.
    injected
        The injected light curve, ADU.
    """

    name: str
    source_id: int
    ra: float
    dec: float
    g: float
    rows: pa.Table
    expected: int
    injected: Injected

    @property
    def own(self) -> pa.Table:
        """The rows of the star itself, because a cone may contain neighbours."""
        return self.rows.filter(pc.equal(self.rows["source_id"], self.source_id))


@dataclass(frozen=True)
class Findings:
    """The data of the report and of the comparison.

    Parameters
    ----------
    rows
        All rows of the light-curve table.
    commits
        The commits of the exposures of the sky.
    truths, events
        The simulator's tables of injected values.
    looked_up
        Stars that were looked up: those with an event by id, the quiet star by position.
    movers
        The injected moving objects, each with its tracklet.
    diameter_px
        The diameter of the aperture, pixels.
    """

    night: str
    profile: Profile
    rows: pa.Table
    commits: tuple[SensorCommit, ...]
    truths: tuple[SensorTruth, ...]
    events: pa.Table
    looked_up: tuple[LookUp, ...]
    movers: Pairing
    diameter_px: float


def gather(store: Store, profile: Profile, night: str) -> Findings:
    """Read the results of the demo from its archive.

    Raises
    ------
    MissingObject
        The archive has no simulated exposures of this night, or no light curves.
    """
    truths = tuple(_truths(store, profile, night))
    if not truths:
        raise MissingObject(f"{store.url} has no simulated exposure of {night}; run the demo without --report-only")
    catalog = Catalog.open(store, TABLE)
    rows = catalog.table()
    diameter_px = float(np.median(diameters_of(rows)))
    events = truth_tables.read_truth(store, truth_tables.events_key(night))
    found = (load_commit(store, key) for key in store.list(commits_of(night)))
    looked_up = tuple(_look_up(catalog, rows, truths, events, diameter_px))
    commits = tuple(one for one in found if one is not None and one.data_type == "OBJECT")
    movers = pair_movers(truths, events, commits)
    return Findings(night, profile, rows, commits, truths, events, looked_up, movers, diameter_px)


def injected_curve(truths: tuple[SensorTruth, ...], source_id: int) -> Injected:
    """Return the injected flux of a star in all exposures, ADU, at the mid-exposures of the star's detector row."""
    moments: list[NDArray[np.float64]] = []
    fluxes: list[NDArray[np.float64]] = []
    for one in truths:
        variable = one.variables.filter(pc.equal(one.variables["source_id"], source_id))
        star = one.stars.filter(pc.equal(one.stars["source_id"], source_id))
        if len(variable):
            moments.append(numbers(variable, "mjd"))
            fluxes.append(numbers(variable, "flux_adu"))
        elif len(star):
            elapsed = numbers(one.frames, "frame") * one.constant("frame_s") / _DAY_S
            moments.append(numbers(star, "mjd_first") + elapsed)
            fluxes.append(numbers(star, "flux_adu") * numbers(one.frames, "transmission"))
    return Injected(np.concatenate(moments), np.concatenate(fluxes))


def _truths(store: Store, profile: Profile, night: str) -> list[SensorTruth]:
    found = [match for key in store.list(f"truth/{night}") if (match := _FRAMES.fullmatch(key))]
    out = []
    for match in found:
        exposure, sensor = match[2], match[3]
        gain = truth_tables.read_truth(store, truth_tables.sensor_key(night, exposure, sensor, "sensor"))["gain"][
            0
        ].as_py()
        amplifier = detector_of(profile, sensor, gain).gain
        out.append(read_sensor_truth(store, night, exposure, sensor, amplifier.e_per_adu, amplifier.read_noise_e))
    return out


def _look_up(
    catalog: Catalog, rows: pa.Table, truths: tuple[SensorTruth, ...], events: pa.Table, diameter_px: float
) -> list[LookUp]:
    found = []
    for name in events["name"].to_pylist():
        seen = next((one for one in truths if happened(one, name)), None)
        if seen is not None:
            of_event = seen.variables.filter(pc.equal(seen.variables["event"], name))
            source = of_event["source_id"][0].as_py()
            if source is not None:
                found.append(_of_star(name, source, seen, truths, catalog.lightcurve(source)))
    quiet = _quiet_star(rows, truths, diameter_px)
    if quiet is not None:
        seen, source = quiet
        star = seen.stars.filter(pc.equal(seen.stars["source_id"], source))
        place = float(star["ra"][0].as_py()), float(star["dec"][0].as_py())
        found.append(_of_star("quiet star", source, seen, truths, catalog.cone(*place, _CONE_ARCSEC)))
    return found


def _of_star(name: str, source: int, seen: SensorTruth, truths: tuple[SensorTruth, ...], rows: pa.Table) -> LookUp:
    star = seen.stars.filter(pc.equal(seen.stars["source_id"], source))
    injected = injected_curve(truths, source)
    ra, dec, g = (float(star[column][0].as_py()) for column in ("ra", "dec", "g"))
    return LookUp(name, source, ra, dec, g, rows, len(injected.mjd), injected)


def _quiet_star(rows: pa.Table, truths: tuple[SensorTruth, ...], diameter_px: float) -> tuple[SensorTruth, int] | None:
    """Return the isolated star of the first sensor that is nearest to 12.5 mag; None if there is none."""
    stars = pair_stars(rows, truths[0], diameter_px)
    which = np.flatnonzero(stars.between(11.5, 14.0))
    if not len(which):
        return None
    best = which[np.argmin(np.abs(stars.g[which] - _QUIET_MAG))]
    return truths[0], int(stars.source_id[best])
