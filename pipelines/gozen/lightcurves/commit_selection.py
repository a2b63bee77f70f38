"""Which commits go into a table: those of nights, of exposures, of a circle on the sky, of a run."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gozen.archive import keys
from gozen.archive.commit import SensorCommit, load_commit
from gozen.archive.keys import CommitKey
from gozen.archive.log.observation_log import in_force
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.instrument.profile import Profile


@dataclass(frozen=True)
class Circle:
    """A circle on the sky, degrees (ICRS)."""

    ra: float
    dec: float
    radius: float

    @classmethod
    def read(cls, text: str) -> Circle:
        """Read ``RA,DEC,RADIUS``; `BadRequest` when it is something else."""
        try:
            ra, dec, radius = (float(part) for part in text.split(","))
        except ValueError:
            raise BadRequest(
                f"region {text!r} is no circle; write RA,DEC,RADIUS in degrees, as 83.8,-5.4,0.5"
            ) from None
        if not (0 <= ra < 360 and -90 <= dec <= 90 and 0 < radius <= 180):
            raise BadRequest(f"region {text!r}: RA is from 0 to 360, DEC from -90 to 90, RADIUS above 0")
        return cls(ra, dec, radius)

    def touches(self, ra: float, dec: float, reach: float) -> bool:
        """Tell whether something that reaches so far (degrees) about a place overlaps the circle."""
        a, b = math.radians(self.dec), math.radians(dec)
        half = math.sin((a - b) / 2) ** 2
        half += math.cos(a) * math.cos(b) * math.sin(math.radians(self.ra - ra) / 2) ** 2
        return math.degrees(2 * math.asin(math.sqrt(min(half, 1.0)))) <= self.radius + reach


def reach_of(profile: Profile) -> float:
    """Return the radius of a sensor's field, deg: half its diagonal."""
    return math.hypot(*profile.active_shape) / 2 * profile.pixel_scale_arcsec / 3600


def nights_with(store: Store, exposures: Collection[str]) -> list[str]:
    """Return the nights of which something is reduced, or those that have one of some exposures."""
    found = [parsed for key in store.list("exposures") if (parsed := keys.parse_commit(key)) is not None]
    return sorted({one.processing.night for one in found if not exposures or one.processing.exposure in exposures})


def selected_commits(
    store: Store,
    night: str,
    exposures: Collection[str] = (),
    run: str | None = None,
    region: Circle | None = None,
    reach_deg: float = 0.0,
) -> list[SensorCommit]:
    """Return the commits of a night that staged rows and meet what is asked, in the order of their keys.

    Parameters
    ----------
    exposures
        Only these; empty for all.
    run
        Only this processing; None takes the one in force of each exposure.
    region, reach_deg
        Only sensors within this distance of the circle, deg: half the diagonal of a sensor's field.
    """
    listed = [key for key in store.list(keys.commits(night)) if _is_of(key, exposures, run)]
    chosen: Iterable[CommitKey] = in_force(listed)
    commits = (load_commit(store, keys.commit(*one)) for one in chosen)
    return [one for one in commits if one is not None and "staging" in one.products and _is_in(one, region, reach_deg)]


def named_exposures(commits: Sequence[SensorCommit]) -> list[str]:
    """Return the exposures that commits belong to."""
    return sorted({commit.exposure for commit in commits})


def _is_of(key: str, exposures: Collection[str], run: str | None) -> bool:
    parsed = keys.parse_commit(key)
    if parsed is None:
        return False
    return (not exposures or parsed.processing.exposure in exposures) and run in (None, parsed.processing.run)


def _is_in(commit: SensorCommit, region: Circle | None, reach_deg: float) -> bool:
    if region is None:
        return True
    ra, dec = commit.summary.ra, commit.summary.dec
    return ra is not None and dec is not None and region.touches(ra, dec, reach_deg)
