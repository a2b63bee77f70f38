"""Append the staged rows of a night's commits to the light-curve table in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from gozen.archive import keys
from gozen.archive.commit import SensorCommit, load_commit
from gozen.archive.log.observation_log import in_force
from gozen.archive.log.update_log import update_log
from gozen.archive.small_parquet import read_parquet
from gozen.archive.stores.open_store import Store
from gozen.catalog.write.append import AppendReport, append_night
from gozen.errors import BadRequest, UnreadableInput
from gozen.lightcurves.light_curve_parts import OLDER_DIAMETER_PX

TABLE = "lightcurves"


def staged_commits(store: Store, night: str, exposures: Sequence[str] | None = None) -> list[SensorCommit]:
    """Return the commits of a night that staged rows, of one run for each exposure, sorted by key.

    Parameters
    ----------
    exposures
        Only commits of these exposures; None returns all commits of the night.

    Raises
    ------
    BadRequest
        There are no commits: nothing was reduced.
    """
    folder = keys.commits(night)
    prefixes = [folder] if exposures is None else [f"{folder}/{exposure}" for exposure in exposures]
    listed = [key for prefix in prefixes for key in store.list(prefix)]
    if not listed:
        raise BadRequest(
            f"no exposure of the night {night} is reduced in {store.url}; run `gozen run` or `gozen reduce` first"
        )
    commits = (load_commit(store, keys.commit(*one)) for one in in_force(listed))
    return [commit for commit in commits if commit is not None and "staging" in commit.products]


def append(store: Store, night: str, table: str = TABLE, progress: Callable[[], None] = lambda: None) -> AppendReport:
    """Append the staged rows of a night to the table, and update the night's observation log.

    If nothing was reduced since the last call, nothing changes. Otherwise the rows of new exposures are added. If
    another run of an exposure is in force now (`gozen.archive.keys.runs_in_force`), its rows replace the old ones.

    Parameters
    ----------
    progress
        Called each time after the rows of one sensor were read.

    Raises
    ------
    BadRequest
        No exposure of the night was reduced.
    UnreadableInput
        The staged rows of a commit cannot be read.
    """
    report = append_commits(store, night, staged_commits(store, night), table, progress)
    update_log(store, [night])
    return report


def append_commits(
    store: Store,
    night: str,
    commits: Sequence[SensorCommit],
    table: str = TABLE,
    progress: Callable[[], None] = lambda: None,
) -> AppendReport:
    """Append the staged rows of some commits of a night, as `append` does, but without the observation log.

    The cost depends on these commits only, not on the number of commits of the night.
    """
    return append_night(store, table, night, _staged(store, commits, progress))


def _complete(rows: pa.Table, commit: SensorCommit) -> pa.Table:
    """Add the columns that older Gozen versions did not stage: the filter, from the commit, and the aperture."""
    if "filter" not in rows.column_names and commit.filter:
        rows = rows.append_column("filter", pa.repeat(commit.filter, len(rows)))
    if "aperture_diameter" not in rows.column_names:
        rows = rows.append_column("aperture_diameter", pa.repeat(pa.scalar(OLDER_DIAMETER_PX, pa.int16()), len(rows)))
    return rows


def _staged(store: Store, commits: Sequence[SensorCommit], progress: Callable[[], None]) -> Iterator[pa.Table]:
    for commit in commits:
        key = commit.products["staging"].key
        try:
            yield _complete(read_parquet(store.read(key)), commit)
        except pa.ArrowInvalid as error:
            raise UnreadableInput(
                f"{store.url_of(key)} is not a readable Parquet file ({error}); reduce this exposure again under "
                "another run"
            ) from error
        progress()
