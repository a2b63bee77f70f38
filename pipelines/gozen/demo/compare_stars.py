"""Compare recovered with injected values of stars, and each difference with its tolerance. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.archive.commit import SensorCommit
from gozen.catalog.format.partition_parquet import numbers
from gozen.demo.pair_with_truth import PairedStars, SensorTruth, findable, pair_stars, rows_of
from gozen.report.report_model import Check
from gozen.simulator.sky.events import Eclipse, Flare, exposure_mean

Floats = NDArray[np.float64]
BRIGHTEST, FAINTEST, FINDABLE = 11.0, 15.0, 16.0
MAGNITUDE_BIAS = 0.01
SCATTER_RATIO = 1.1
POSITION_ARCSEC = 0.05
TIME_MS = 1.0
FLARE_AMPLITUDE = 0.05
FLARE_TIME_S = 0.1
ECLIPSE_DEPTH = 0.03
CLOUD_MAG = 0.01
MATCHED_FRACTION = 0.97
_DAY_S = 86400.0


def compare(
    rows: pa.Table,
    truths: Sequence[SensorTruth],
    events: pa.Table,
    commits: Sequence[SensorCommit],
    *,
    diameter_px: float,
    shape: tuple[int, int],
) -> list[Check]:
    """Compare a night's light curves with the injected values.

    Parameters
    ----------
    rows
        Rows of the light-curve table.
    truths
        The injected values of each sensor and exposure of the sky.
    events
        The simulator's table of events.
    commits
        The commits of the same sensors and exposures.
    diameter_px
        The diameter of the calibrated aperture, pixels.
    shape
        Rows and columns of the active area.

    Returns
    -------
    list
        Checks of magnitudes in exposures without clouds, of positions and times in all exposures, of the number of
        stars, of clouds, and of each event.
    """
    paired = [(one, pair_stars(rows, one, diameter_px)) for one in truths]
    return [
        _reduced(commits, len(truths)),
        *compare_stars(paired),
        matched_fraction(paired, shape),
        *compare_clouds(truths, commits),
        *compare_events(rows, truths, events),
    ]


def compare_stars(paired: Sequence[tuple[SensorTruth, PairedStars]]) -> list[Check]:
    """Compare magnitudes, scatter, positions and times of the isolated stars from 11 to 15 mag."""
    clear = [stars for truth, stars in paired if truth.clear]
    every = [stars for _, stars in paired]
    residual, ratio = _of(clear, "residual"), _of(clear, "scatter") / _of(clear, "predicted")
    d_ra, d_dec, time_s = (_of(every, name) for name in ("d_ra", "d_dec", "time_s"))
    rms = max(_rms(d_ra), _rms(d_dec))
    stars = f"isolated stars of {BRIGHTEST:g} to {FAINTEST:g} mag"
    clouds = "; exposures without clouds"
    return [
        Check(
            "magnitudes, bias", _median(residual), MAGNITUDE_BIAS, "mag", "within", f"{len(residual)} {stars}{clouds}"
        ),
        Check(
            "scatter, divided by the noise of photons and read-out",
            _median(ratio),
            SCATTER_RATIO,
            basis=f"{len(ratio)} {stars}{clouds}",
        ),
        Check("positions, rms of the worse axis", rms, POSITION_ARCSEC, "arcsec", basis=f"{len(d_ra)} {stars}"),
        Check("times, largest error", _largest(time_s) * 1000, TIME_MS, "ms", basis=f"{len(time_s)} {stars}"),
    ]


def matched_fraction(paired: Sequence[tuple[SensorTruth, PairedStars]], shape: tuple[int, int]) -> Check:
    """Compare the number of stars that were found and matched with the number that should have been."""
    wanted = [(findable(truth, FINDABLE, shape), stars) for truth, stars in paired]
    found = sum(int(np.isin(ids, stars.source_id).sum()) for ids, stars in wanted)
    total = sum(len(ids) for ids, _ in wanted)
    basis = f"{total} isolated stars brighter than {FINDABLE:g} mag, off the edges"
    return Check("stars found and matched", found / total if total else np.nan, MATCHED_FRACTION, "", "at least", basis)


def compare_clouds(truths: Sequence[SensorTruth], commits: Sequence[SensorCommit]) -> list[Check]:
    """Compare the frames' zero points with the injected transmission of clouds."""
    cloudy = {(one.exposure, one.sensor_id): one for one in truths if not one.clear}
    if not cloudy:
        return []
    errors = [
        _cloud_error(commit, cloudy[commit.exposure, commit.sensor])
        for commit in commits
        if (commit.exposure, commit.sensor) in cloudy
    ]
    error = _rms(np.concatenate(errors)) if errors else np.nan
    basis = f"zero points of {sum(map(len, errors))} frames against the transmission"
    return [Check("cloud, rms of the zero points", error, CLOUD_MAG, "mag", basis=basis)]


def compare_events(rows: pa.Table, truths: Sequence[SensorTruth], events: pa.Table) -> list[Check]:
    """Compare the amplitude and time of each flare, and the depth of each eclipse, that occurred in an exposure."""
    checks: list[Check] = []
    for event in events.to_pylist():
        seen = next((one for one in truths if happened(one, event["name"])), None)
        parameters = json.loads(event["parameters"])
        if seen is None:
            continue
        if event["kind"] == "flare":
            checks += _flare(rows, seen, Flare(**parameters))
        elif event["kind"] == "eclipse":
            checks.append(_eclipse(rows, seen, Eclipse(**parameters)))
    return checks


def happened(truth: SensorTruth, name: str) -> bool:
    """Return whether an event changed a star on this sensor by more than 10 %, in an exposure without clouds."""
    of_event = truth.variables.filter(pc.equal(truth.variables["event"], name))
    return len(of_event) > 0 and truth.clear and float(np.ptp(numbers(of_event, "factor"))) > 0.1


def relative_flux(rows: pa.Table, truth: SensorTruth, source_id: int) -> tuple[Floats, Floats, Floats]:
    """Return times (MJD), the flux relative to the star's injected magnitude, and the error of this ratio."""
    own = rows_of(rows, truth)
    own = own.filter(pa.array(numbers(own, "source_id") == source_id)).sort_by("mjd")
    place = np.flatnonzero(numbers(truth.stars, "source_id") == source_id)
    g = float(truth.stars["g"][int(place[0])].as_py())
    mag, mag_err = (np.asarray(own[name].to_numpy(), np.float64) for name in ("mag", "mag_err"))
    flux = 10 ** (-0.4 * (mag - g))
    return numbers(own, "mjd"), flux, flux * mag_err * np.log(10) / 2.5


def fit_flare(mjd: Floats, flux: Floats, error: Floats, flare: Flare, exposure_s: float) -> tuple[float, float]:
    """Fit the amplitude and time of a flare of known shape to a light curve by least squares.

    Parameters
    ----------
    mjd, flux, error
        Mid-exposures, flux relative to the quiet star, and its error; shape (points,).
    flare
        The flare that was simulated.
    exposure_s
        The exposure time of a frame, seconds.

    Returns
    -------
    amplitude
        Fitted over injected amplitude.
    delay_s
        Fitted minus injected time, seconds, from -3 to 3.
    """
    delay = np.linspace(-3.0, 3.0, 1201)
    start = mjd - exposure_s / 2 / _DAY_S - delay[:, None] / _DAY_S
    model = exposure_mean(flare.factor, start, exposure_s) - 1
    seen, weight = flux - 1, 1 / error**2
    amplitude = (weight * model * seen).sum(axis=1) / np.maximum((weight * model**2).sum(axis=1), 1e-12)
    chi2 = (weight * (seen - amplitude[:, None] * model) ** 2).sum(axis=1)
    best = int(np.argmin(chi2))
    return float(amplitude[best]), float(delay[best])


def _flare(rows: pa.Table, seen: SensorTruth, flare: Flare) -> list[Check]:
    mjd, flux, error = relative_flux(rows, seen, flare.source_id)
    good = np.isfinite(flux) & np.isfinite(error)
    amplitude, delay = np.nan, np.nan
    if good.sum() > 3:
        amplitude, delay = fit_flare(mjd[good], flux[good], error[good], flare, seen.constant("exposure_s"))
    basis = f"{good.sum()} frames, fit of the injected shape with amplitude and time free"
    return [
        Check(
            f"{flare.name}, recovered over injected amplitude − 1", amplitude - 1, FLARE_AMPLITUDE, "", "within", basis
        ),
        Check(f"{flare.name}, error of the time", delay, FLARE_TIME_S, "s", "within", basis),
    ]


def _eclipse(rows: pa.Table, seen: SensorTruth, eclipse: Eclipse) -> Check:
    mjd, flux, _ = relative_flux(rows, seen, eclipse.source_id)
    half_s = eclipse.duration_s / 2 - eclipse.ingress_s - seen.constant("exposure_s") / 2
    bottom = np.isfinite(flux) & (np.abs(mjd - eclipse.mid_mjd) * _DAY_S <= half_s)
    depth = 1 - float(flux[bottom].mean()) if bottom.any() else np.nan
    basis = f"{bottom.sum()} frames at full depth, {eclipse.depth:g} of the flux"
    return Check(f"{eclipse.name}, error of the depth", depth - eclipse.depth, ECLIPSE_DEPTH, "", "within", basis)


def _cloud_error(commit: SensorCommit, truth: SensorTruth) -> Floats:
    zero = np.array([np.nan if frame.zero_point is None else frame.zero_point for frame in commit.frames])
    dimming = 2.5 * np.log10(numbers(truth.frames, "transmission"))[: len(zero)]
    difference = zero - dimming
    return np.asarray(difference - np.nanmedian(difference))


def _reduced(commits: Sequence[SensorCommit], wanted: int) -> Check:
    reduced = sum(commit.status == "reduced" for commit in commits)
    return Check("sensors reduced", reduced, wanted, "", "at least", "every sensor of every exposure of the sky")


def _of(groups: Sequence[PairedStars], name: str) -> Floats:
    parts = [getattr(stars, name)[stars.between(BRIGHTEST, FAINTEST)] for stars in groups]
    return np.concatenate(parts) if parts else np.empty(0)


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan


def _largest(values: Floats) -> float:
    return float(np.abs(values).max()) if len(values) else np.nan
