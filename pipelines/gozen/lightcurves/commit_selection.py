"""Select commits for a table by night, exposure, circle on the sky, or run."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from gozen.archive import keys
from gozen.archive.commit import SensorCommit, load_commit
from gozen.archive.keys import CommitKey
from gozen.archive.log.observation_log import in_force
from gozen.archive.stores.open_store import Store
from gozen.instrument.profile import Profile
from gozen.resources.sky_circle import SkyCircle


def reach_of(profile: Profile) -> float:
    """Return half the diagonal of a sensor's field, degrees."""
    return math.hypot(*profile.active_shape) / 2 * profile.pixel_scale_arcsec / 3600


def nights_with(store: Store, exposures: Collection[str]) -> list[str]:
    """Return the nights with commits, sorted; if exposures are given, only nights with commits of these exposures."""
    found = [parsed for key in store.list("exposures") if (parsed := keys.parse_commit(key)) is not None]
    return sorted({one.processing.night for one in found if not exposures or one.processing.exposure in exposures})


def selected_commits(
    store: Store,
    night: str,
    exposures: Collection[str] = (),
    run: str | None = None,
    region: SkyCircle | None = None,
    reach_deg: float = 0.0,
) -> list[SensorCommit]:
    """Return the commits of a night that staged rows and meet all conditions, sorted by key.

    Parameters
    ----------
    exposures
        Only commits of these exposures; empty for all.
    run
        Only commits of this run. None uses, for each exposure, the run of `gozen.archive.keys.runs_in_force`.
    region, reach_deg
        Only sensors whose centre is at most `reach_deg` degrees outside of the circle `region`; use half the diagonal
        of a sensor's field. Without a region, all sensors.
    """
    listed = [key for key in store.list(keys.commits(night)) if _is_of(key, exposures, run)]
    chosen: Iterable[CommitKey] = in_force(listed)
    commits = (load_commit(store, keys.commit(*one)) for one in chosen)
    return [one for one in commits if one is not None and "staging" in one.products and _is_in(one, region, reach_deg)]


def named_exposures(commits: Sequence[SensorCommit]) -> list[str]:
    """Return the exposures of some commits, sorted."""
    return sorted({commit.exposure for commit in commits})


def _is_of(key: str, exposures: Collection[str], run: str | None) -> bool:
    parsed = keys.parse_commit(key)
    if parsed is None:
        return False
    return (not exposures or parsed.processing.exposure in exposures) and run in (None, parsed.processing.run)


def _is_in(commit: SensorCommit, region: SkyCircle | None, reach_deg: float) -> bool:
    if region is None:
        return True
    ra, dec = commit.summary.ra, commit.summary.dec
    return ra is not None and dec is not None and region.touches(ra, dec, reach_deg)
