"""The interface for notebooks: map, mapreduce, look-ups, SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gozen.archive import keys
from gozen.archive.stores.open_store import open_archive
from gozen.errors import BadRequest, MissingObject
from gozen.lightcurves.barycentric_times import Place
from gozen.quickdb.engines import Engine, Scalable
from gozen.quickdb.engines.workers_table import local_table
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.jobs.plan_job import JobRequest, Planner
from gozen.quickdb.jobs.rerun_tables import Tables
from gozen.quickdb.jobs.reruns import Reruns
from gozen.quickdb.jobs.result_cache import Cache
from gozen.quickdb.jobs.run_job import mapped, reduced, results
from gozen.quickdb.listing import light_curve, listed, star_or_circle
from gozen.quickdb.patches.patch import Patch
from gozen.quickdb.user_code.user_function import UserCode
from gozen.quickdb.work.program import Mode
from gozen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from gozen.quickdb.sql.database import Database

Map = Callable[..., Any]
Reduce = Callable[[Any, Any], Any]


class Api:
    """An archive's tables, and workers that run functions on them.

    Parameters
    ----------
    settings
        The location of the archive, and limits.
    engine
        The engine that runs functions.
    rerun
        The release that jobs read by default.
    limits
        Limits of functions that run isolated; None runs them in the workers.
    place_m
        The position of the camera, geocentric, in metres; for barycentric times.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        rerun: str | None = None,
        limits: Limits | None = None,
        place_m: Place | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._place_m = place_m
        self._store = open_archive(settings)
        self._reruns = Reruns(self._store, rerun, place_m)
        self._planner = Planner(self._store, settings.storage, self._reruns, limits)
        self._database: Database | None = None
        self._cache = Cache(settings.quickdb.cache.expanduser(), settings.quickdb.cache_mb << 20)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<QuickDB on {self._store.url}, {self._engine.workers} workers>"

    def close(self) -> None:
        """Stop the workers."""
        self._engine.close()

    def workers(self, number: int | None = None) -> pd.DataFrame:
        """Return the state of your own workers and what they use; if a number is given, set their number first.

        Parameters
        ----------
        number
            The number of workers to keep: missing workers are started, and 0 ends all of them. By default the number
            follows the work, within the limits of the hub.

        Returns
        -------
        pandas.DataFrame
            One row for each worker: its state, tasks, use of the processor, and memory.

        Raises
        ------
        BadRequest
            The hub does not allow so many, or these are not your own workers in the cluster of a hub.
        ClusterUnavailable
            The hub's service for workers cannot answer now.
        """
        if isinstance(self._engine, Scalable):
            if number is not None:
                self._engine.scale(number)
            return self._engine.table()
        if number is not None:
            raise BadRequest(
                f"the number of workers ({self._engine.workers}) is fixed for this connection; connect again with "
                "quickdb.connect(workers=...)"
            )
        return local_table(self._engine.workers)

    def map(
        self,
        map: Map,  # noqa: A002 its name in docs/reference/quickdb.md
        *,
        rerun: str | None = None,
        table: str | None = None,
        region: Any = None,
        shared: Any = None,
        sample: float | None = None,
        stream: bool = False,
        progress: bool | None = None,
        cache: bool = True,
    ) -> Iterator[Any]:
        """Call a function on every patch.

        Parameters
        ----------
        map
            ``map(patch)`` or ``map(patch, shared)``. Values other than None are returned to you.
        rerun
            The release to read; by default the release given to `connect`, else the live tables.
        table
            The table whose patches are used; by default the first table that the function names.
        region
            A `Cone`, `Box` or `Polygon` of `gozen.quickdb`, or a MOC: the function gets only rows inside it.
        shared
            A value that is sent once to each worker and passed as the second argument.
        sample
            The fraction of the patches to use, for example 0.01.
        stream
            Whether results are yielded as they arrive, not in the order of the patches.
        progress
            Whether a progress bar is shown; by default on a terminal and in a notebook, after a second.
        cache
            Whether results may come from an earlier run of the same function over the same data.

        Returns
        -------
        Iterator
            The results. Workers compute a little ahead of the results that you have consumed.

        Raises
        ------
        FunctionFailed
            The function raised an exception; the message has its traceback, the patch, and how to call it on that
            patch in this process.
        ColumnNotFound, RerunNotFound
            A name is unknown; the message has the nearest names.
        WorkerLost, StorageUnavailable, UnreadableInput
            A worker died, the archive's storage cannot be reached, or a file is damaged.
        """
        asked = JobRequest(map, shared=shared, rerun=rerun, table=table, region=region, sample=sample, cache=cache)
        plan = self._planner.plan(asked)
        return mapped(results(plan, self._engine, self._cache, progress), in_order=not stream)

    def mapreduce(
        self,
        map: Map,  # noqa: A002 its name in docs/reference/quickdb.md
        reduce: Reduce,
        *,
        rerun: str | None = None,
        table: str | None = None,
        region: Any = None,
        shared: Any = None,
        finalize: Callable[[Any], Any] | None = None,
        sample: float | None = None,
        progress: bool | None = None,
        cache: bool = True,
    ) -> Any:
        """Call a function on every patch and reduce the results to one value.

        Parameters
        ----------
        map, rerun, table, region, shared, progress, cache
            As for `Api.map`.
        reduce
            ``reduce(a, b)`` combines two values to one. It must be associative; this is tested on three values.
        finalize
            Called once with the result.
        sample
            The fraction of the patches to use, for example 0.01; sums are scaled to the complete table.

        Returns
        -------
        Any
            The value, or None if no patch gave one; with `sample` an `Estimate` of `jobs.sampling`. Every engine and
            any number of workers give the same value, to the last bit.

        Raises
        ------
        FunctionFailed
            As for `Api.map`; also if `reduce` or `finalize` raises, or if `reduce` is not associative.
        ColumnNotFound, RerunNotFound, WorkerLost, StorageUnavailable, UnreadableInput
            As for `Api.map`.
        """
        mode: Mode = "reduce" if sample is None else "both"
        plan = self._planner.plan(
            JobRequest(map, reduce, finalize, shared, rerun, table, region, sample, cache=cache, mode=mode)
        )
        return reduced(plan, results(plan, self._engine, self._cache, progress), self._engine)

    def patch(self, id: str, *, rerun: str | None = None, table: str | None = None) -> Patch:  # noqa: A002 its name
        """Open one patch in this process, as a function gets it, in order to try the function on it.

        Parameters
        ----------
        id
            The patch's id, as in the message of an error: ``order/pixel/number``.
        rerun, table
            As in the job that failed.
        """
        from gozen.quickdb.open_patch import opened

        return opened(self._store, self._reruns.family(rerun, table, UserCode.of()), id)

    def reruns(self) -> list[str]:
        """Return the names of all releases."""
        return self._reruns.names()

    def tables(self, rerun: str | None = None) -> list[str]:
        """Return the names of the tables of a release; by default the names of the live tables."""
        return sorted(self._reruns.tables(rerun).versions)

    def columns(self, rerun: str | None = None) -> pd.DataFrame:
        """Return every column of every table.

        Returns
        -------
        pandas.DataFrame
            The type, unit and meaning of each column, indexed by its name in a patch.
        """
        return listed(self._reruns.tables(rerun))

    def lightcurve(
        self,
        source_id: int | None = None,
        *,
        ra: float | None = None,
        dec: float | None = None,
        radius: float = 1.0,
        columns: Sequence[str] | None = None,
        rerun: str | None = None,
        table: str = "lightcurves",
    ) -> pa.Table:
        """Look up all rows of one star, or of the stars in a circle.

        Parameters
        ----------
        source_id
            Gaia's id of the star, or the id that Gozen gave it.
        ra, dec
            The centre of the circle, ICRS degrees.
        radius
            The radius of the circle, arcsec.
        columns
            Names of columns of the table's files, and ``bjd_tdb``; by default all columns of the files.
        rerun, table
            The release and table to read; by default the live light curves.

        Returns
        -------
        pyarrow.Table
            Rows sorted by star, then by time; empty if no star matches.

        Raises
        ------
        BadRequest
            Neither an id nor a position is given, or both.
        TableNotFound, MissingObject
            There is no such table, or the archive has no tables.
        """
        wanted = star_or_circle(source_id, ra, dec, radius)
        catalog = self._reruns.tables(rerun, (table,)).catalog(table)
        return light_curve(catalog, wanted, columns, self._place_m)

    def sql(self, query: str, *, rerun: str | None = None, trusted: bool = False, **mine: Any) -> pa.Table:
        """Query the tables in SQL; DuckDB reads the same files.

        ``FROM lightcurves`` names a table; ``exposures``, ``quality`` and ``tracklets`` are the observation log;
        ``WHERE within(ra, dec, 83.8, -5.4, 10)`` limits a table to a circle (centre in degrees, radius in arcsec); only
        the row groups that can contain such rows are read. Settings limit time, memory and rows
        (``quickdb.sql_seconds``, ``sql_memory_mb``, ``sql_rows``).

        Parameters
        ----------
        query
            One SELECT statement.
        rerun
            As for `Api.map`.
        trusted
            Whether the query may open files, for example by ``read_csv``. Use it only for queries that you wrote
            yourself, on your own machine.
        mine
            Your tables (Arrow, pandas, polars), by their names in the query.

        Returns
        -------
        pyarrow.Table
            The result. Column names are unique: a second ``ra`` is named ``ra_1``.

        Raises
        ------
        BadRequest
            The query is not a SELECT, does more than read tables, or is refused by DuckDB.
        LimitExceeded
            The query takes too long or too much memory, or its result has too many rows.
        TableNotFound
            The query names a table that does not exist.
        """
        try:
            from gozen.quickdb.sql.database import Database
            from gozen.quickdb.sql.parse_query import Query
            from gozen.quickdb.sql.query_sources import LOGS, QuerySources
        except ImportError as error:
            raise BadRequest(f"SQL needs another package ({error}): pip install 'gozen[sql]'") from error
        parsed = Query(query)
        own = {name.lower() for name in mine}
        words = [word for word in parsed.tables if word.lower() not in own and keys.is_name(word)]
        tables = Tables(self._store, {})
        # The observation log exists before the first table does: a query of logs alone needs no tables.
        with contextlib.suppress(*([MissingObject] if {word.lower() for word in words} <= set(LOGS) else [])):
            # A release that is named must exist, even if the query reads nothing of it.
            tables = self._reruns.tables(rerun, words) if words or rerun is not None else tables
        self._database = self._database or Database(self._store, self._settings.quickdb)
        return self._database.run(parsed, QuerySources(self._store, tables, mine), mine, trusted=trusted)

    def cache_clear(self) -> int:
        """Delete the cached results of earlier runs; return the number of deleted entries."""
        return self._cache.clear()
