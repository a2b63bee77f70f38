"""Decide whether another frame of an unnumbered exposure is expected, from the camera's latest frames. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gozen.frames.assign_exposures import ExposureName, Placed
from gozen.frames.exposure_grouping import PAUSE_FRAMES, PAUSE_S, FrameFacts, base_name
from gozen.resources.sky_circle import separation_deg

_NEXT_FRAMES = 3
"""Number of exposure times within which the next frame of a working camera comes."""
_MOST_IN_TURN = 9
"""Largest number of targets or filters in rotation that is recognized without a setting."""
_KEPT = 64
_SERIES_KEPT = 1000
_DAY_S = 86400.0


@dataclass
class RecentFrames:
    """The last frames of each sensor, and the exposure of each.

    Parameters
    ----------
    tolerance_deg
        Largest separation of two pointings of one exposure, degrees.
    """

    tolerance_deg: float
    _frames: dict[str, dict[float, tuple[str, float]]] = field(default_factory=dict)
    _ended: dict[tuple[str, ...], tuple[str, FrameFacts]] = field(default_factory=dict)

    def see(self, places: Mapping[ExposureName, Sequence[Placed]]) -> None:
        """Record the frames that wait, and forget old ones."""
        for (_, exposure), placed in places.items():
            for one in placed:
                frame = one.arrival.frame
                own = self._frames.setdefault(frame.sensor, {})
                own[frame.taken.mjd] = exposure, frame.setup.exposure_s
        for sensor, own in self._frames.items():
            if len(own) > 2 * _KEPT:
                self._frames[sensor] = dict(sorted(own.items())[-_KEPT:])

    def may_come_again(self, exposure: str, last: FrameFacts, utc_mjd: float) -> bool:
        """Tell whether another frame of an exposure is expected.

        A frame is expected while `last` is recent. It is also expected while the camera takes single frames of other
        exposures in turn, until one of these gets a second frame.

        Parameters
        ----------
        last
            Last frame of the exposure.
        utc_mjd
            The present time, MJD (UTC).
        """
        frames = self._frames.get(last.sensor, {})
        since = sorted(mjd for mjd in frames if mjd > last.taken.mjd and frames[mjd][0] != exposure)
        if _is_at_work(last.taken.mjd, last.setup.exposure_s, utc_mjd):
            return True
        names = [frames[mjd][0] for mjd in since]
        in_turn = 0 < len(names) < _MOST_IN_TURN and len(set(names)) == len(names)
        return in_turn and _is_at_work(since[-1], frames[since[-1]][1], utc_mjd)

    def given_out(self, exposure: str, frames: Sequence[FrameFacts], is_closed: Callable[[str], bool]) -> str:
        """Record that an exposure is complete; return a warning if it continues one that counted as complete too soon.

        Parameters
        ----------
        is_closed
            Tells whether an exposure has been reduced, or is being reduced.
        """
        first, last = frames[0], frames[-1]
        setup = last.setup
        if setup.exposure_id is not None or last.taken.cube_s is not None or last.data_type != "OBJECT":
            return ""
        series = (base_name(last), last.sensor, setup.filter, f"{setup.exposure_s:g}", setup.gain)
        before, ended = self._ended.get(series, (exposure, first))
        pause_s = (first.taken.mjd - ended.taken.mjd) * _DAY_S
        goes_on = 0 < pause_s <= max(PAUSE_S, PAUSE_FRAMES * setup.exposure_s) and self._is_near(first, ended)
        # Asked before anything is recorded: if the answer is an error, this is called again for the same exposure.
        was_closed = before != exposure and goes_on and is_closed(before)
        self._ended.pop(series, None)  # so that the series is the last one again
        self._ended[series] = exposure, last
        if len(self._ended) > _SERIES_KEPT:
            del self._ended[next(iter(self._ended))]
        if not was_closed:
            return ""
        return (
            f"{exposure} continues {before}, which was regarded as complete; the last frame of {before} was taken "
            f"{pause_s:.0f} s earlier. If the camera alternates between more than {_MOST_IN_TURN} targets or filters, "
            "or pauses, set `watch.settle_s` to a longer time"
        )

    def _is_near(self, one: FrameFacts, other: FrameFacts) -> bool:
        a, b = one.taken, other.taken
        if a.ra is None or a.dec is None or b.ra is None or b.dec is None:
            return True
        return separation_deg(a.ra, a.dec, b.ra, b.dec) <= self.tolerance_deg


def _is_at_work(mjd: float, exposure_s: float, utc_mjd: float) -> bool:
    """Tell whether the next frame may still come, after one that began at ``mjd``."""
    age_s = (utc_mjd - mjd) * _DAY_S - exposure_s
    return 0 <= age_s < _NEXT_FRAMES * exposure_s
