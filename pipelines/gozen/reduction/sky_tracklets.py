"""Convert movers and streaks to the sky: positions, times, rates and magnitudes for the record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.archive.keys import Processing
from gozen.archive.tracklet_record import TrackletPoint, TrackletRecord, tracklet_name
from gozen.astrometry.solution import Solution
from gozen.astrometry.tangent_plane import from_plane, to_plane
from gozen.frames.raw import RawCube
from gozen.frames.row_times import DAY_S, mid_exposure
from gozen.lightcurves.zero_point import ZeroPoint
from gozen.movers.measure_mover import Track
from gozen.movers.streaks import Streak, heading
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.find_movers import Found

Floats = NDArray[np.float64]
_POGSON = 2.5 / np.log(10)


@dataclass(frozen=True)
class Place:
    """The conversion from pixels and fluxes of a frame to sky positions, times and magnitudes."""

    aligned: AlignedStack
    solution: Solution
    zero: ZeroPoint | None

    @property
    def raw(self) -> RawCube:
        """The raw frames."""
        return self.aligned.cube.raw

    def sky(self, frame: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return right ascension and declination (ICRS, degrees) of pixel positions on a frame."""
        return self.solution.sky(*self.aligned.shifts[frame].back(x, y))

    def time(self, frame: int, y: Floats) -> Floats:
        """Return the mid-exposure time of rows of a frame, MJD (UTC)."""
        header = self.raw.header
        row = y + self.aligned.cube.detector.active[0].start
        return mid_exposure(float(self.raw.start[frame]), row, header.row_time_s, header.exposure_s)

    def magnitude(self, flux: Floats) -> Floats:
        """Return magnitudes without a colour term; NaN if there is no zero point."""
        if self.zero is None:
            return np.full(len(flux), np.nan)
        return self.zero.magnitude(flux, np.full(len(flux), np.nan))


def records_of(found: Found, place: Place, processing: Processing) -> list[TrackletRecord]:
    """Return the records of all movers, followed by the records of all streaks."""
    records = [_of_track(track, place) for track in found.tracks]
    records += [_of_chain(chain, place) for chain in found.chains]
    frame_id, exposure, run = place.raw.frame_id, processing.exposure, processing.run
    return [
        record.model_copy(update={"tracklet": tracklet_name(frame_id, exposure, run, number)})
        for number, record in enumerate(records, start=1)
    ]


@dataclass(frozen=True)
class SkyMotion:
    """Motion along a straight line on the sky.

    Parameters
    ----------
    ra, dec, mjd
        Position (degrees) at the middle time, and that time (MJD).
    rate, rate_err
        Rate in arcsec per minute; the error is per axis.
    angle
        Position angle of the motion at that position, degrees.
    rms
        Scatter of the points about the line, arcsec per axis.
    """

    ra: float
    dec: float
    mjd: float
    rate: float
    rate_err: float
    angle: float
    rms: float


def motion(ra: Floats, dec: Floats, mjd: Floats, error_arcsec: Floats, rate_excess: float = 1.0) -> SkyMotion:
    """Fit a straight line on the sky, weighted by the errors of its points.

    Parameters
    ----------
    ra, dec
        ICRS degrees, shape (points,), at least two.
    mjd
        Time of each point, days.
    error_arcsec
        Position error of each point, per axis.
    rate_excess
        Factor by which the error of the rate is larger than it would be if the errors of the points were independent.
    """
    first = _motion_about((float(ra[0]), float(dec[0])), ra, dec, mjd, error_arcsec, rate_excess)
    # Meridians are not parallel: the angle is only right at the tangent point, which must be the mean position.
    return _motion_about((first.ra, first.dec), ra, dec, mjd, error_arcsec, rate_excess)


def _motion_about(
    about: tuple[float, float], ra: Floats, dec: Floats, mjd: Floats, error_arcsec: Floats, rate_excess: float
) -> SkyMotion:
    xi, eta = (np.asarray(value) * 3600 for value in to_plane(ra, dec, *about))
    middle = float((mjd.min() + mjd.max()) / 2)
    minutes, weight = (mjd - middle) * 1440, 1 / error_arcsec**2
    design = np.column_stack([np.ones_like(minutes), minutes])
    normal = np.linalg.inv(design.T @ (design * weight[:, None]))
    fit = normal @ design.T @ (weight[:, None] * np.column_stack([xi, eta]))
    rest = np.column_stack([xi, eta]) - design @ fit
    # If the points scatter by more than their errors, the error of the rate grows in proportion.
    excess = max(1.0, float(np.sqrt(np.sum(weight[:, None] * rest**2) / max(2 * len(ra) - 4, 1))))
    (x0, y0), (vx, vy) = fit
    at = from_plane(np.array([x0 / 3600]), np.array([y0 / 3600]), *about)
    angle = float(np.degrees(np.arctan2(vx, vy)) % 360)
    rms = float(np.sqrt(np.mean(rest**2)))
    error = float(np.sqrt(normal[1, 1]) * excess * rate_excess)
    return SkyMotion(float(at[0][0]), float(at[1][0]), middle, float(np.hypot(vx, vy)), error, angle, rms)


def _of_track(track: Track, place: Place) -> TrackletRecord:
    ra, dec = _positions(track, place)
    mjd = np.array([place.time(int(f), np.array([y]))[0] for f, y in zip(track.frame, track.y, strict=True)])
    error = track.error_px * place.solution.linear.scale_arcsec
    fit = motion(ra, dec, mjd, error, track.rate_excess)
    mag = place.magnitude(track.flux)
    points = [
        TrackletPoint(
            frame=int(track.frame[k]),
            mjd=float(mjd[k]),
            ra=float(ra[k]),
            dec=float(dec[k]),
            position_err_arcsec=float(error[k]),
            x=float(track.x[k]),
            y=float(track.y[k]),
            flux=float(track.flux[k]),
            flux_err=float(track.flux_err[k]),
            mag=float(mag[k]),
            mag_err=float(_POGSON * track.flux_err[k] / track.flux[k]) if np.isfinite(mag[k]) else None,
            linked=bool(track.linked[k]),
        )
        for k in range(len(ra))
    ]
    return TrackletRecord(
        tracklet="",
        kind="mover",
        significance=track.line.significance,
        n_frames=len(points),
        **_motion_fields(fit),
        mag_mean=float(place.magnitude(np.array([track.flux.mean()]))[0]),
        snr=float(np.median(track.flux / track.flux_err)),
        points=tuple(points),
    )


def _positions(track: Track, place: Place) -> tuple[Floats, Floats]:
    sky = [
        place.sky(int(frame), np.array([x]), np.array([y]))
        for frame, x, y in zip(track.frame, track.x, track.y, strict=True)
    ]
    return np.array([one[0][0] for one in sky]), np.array([one[1][0] for one in sky])


def _of_chain(chain: list[Streak], place: Place) -> TrackletRecord:
    """Record the trails of one object.

    The direction of a single trail is unknown: both of its ends get the mid-exposure time.
    """
    sign = heading(chain)
    complete = [streak for streak in chain if streak.whole.all()]
    joined = len(complete) > 1
    half = place.raw.header.exposure_s / 2 / DAY_S
    points: list[TrackletPoint] = []
    for streak in chain:
        order = [1, 0] if sign < 0 else [0, 1]
        x, y = streak.x[order], streak.y[order]
        ra, dec = place.sky(streak.frame, x, y)
        mjd = place.time(streak.frame, y)
        mag = place.magnitude(np.array([streak.flux]))[0] if streak.flux > 0 else float("nan")
        for k, (end, moment) in enumerate((("start", -half), ("end", half))):
            if joined and not streak.whole[order[k]]:
                continue  # at a cut end, the object was not there at the start or the end of the exposure
            points.append(
                TrackletPoint.model_validate(
                    {
                        "frame": streak.frame,
                        "end": end if sign else "either",
                        "mjd": float(mjd[k]) + (moment if sign else 0.0),
                        "ra": float(ra[k]),
                        "dec": float(dec[k]),
                        "position_err_arcsec": streak.error_px * place.solution.linear.scale_arcsec,
                        "x": float(x[k]),
                        "y": float(y[k]),
                        "flux": streak.flux,
                        "flux_err": streak.flux_err,
                        "mag": float(mag),
                        "mag_err": float(_POGSON * streak.flux_err / streak.flux) if np.isfinite(mag) else None,
                    }
                )
            )
    fit = _streak_motion(points, half, known=sign != 0)
    fields = _motion_fields(fit)
    if not complete:
        # The length of a trail that leaves the frame is a lower limit, and its rate would be one too.
        fields |= {"rate_arcsec_min": None, "rate_err_arcsec_min": None}
    flux = float(np.mean([streak.flux for streak in complete or chain]))
    return TrackletRecord(
        tracklet="",
        kind=chain[0].kind,
        n_frames=len({streak.frame for streak in chain}),
        **fields,
        mag_mean=float(place.magnitude(np.array([flux]))[0]) if flux > 0 else None,
        snr=float(np.median([streak.flux / streak.flux_err for streak in chain])),
        points=tuple(points),
    )


def _streak_motion(points: list[TrackletPoint], half: float, *, known: bool) -> SkyMotion:
    ra, dec = (np.array([getattr(point, name) for point in points]) for name in ("ra", "dec"))
    mjd, error = (np.array([getattr(point, name) for point in points]) for name in ("mjd", "position_err_arcsec"))
    if not known:
        mjd = mjd + np.array([-half, half])
    return motion(ra, dec, mjd, error)


def _motion_fields(fit: SkyMotion) -> dict[str, float | None]:
    return {
        "ra_mid": fit.ra,
        "dec_mid": fit.dec,
        "mjd_mid": fit.mjd,
        "rate_arcsec_min": fit.rate,
        "rate_err_arcsec_min": fit.rate_err,
        "position_angle_deg": fit.angle,
        "rms_arcsec": fit.rms,
    }
