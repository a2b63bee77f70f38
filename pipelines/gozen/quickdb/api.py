"""The interface for notebooks: map, mapreduce, look-ups, SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gozen.archive import keys
from gozen.archive.stores.open_store import open_archive
from gozen.errors import BadRequest, MissingObject
from gozen.lightcurves.barycentric_times import Place
from gozen.quickdb.engines import Engine
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
    """The tables of an archive, and workers that run functions on them.

    Parameters
    ----------
    settings
        Where the archive is, and limits.
    engine
        Where functions run.
    rerun
        Where a job names none.
    limits
        Of functions that run apart; None lets them run in the workers.
    place_m
        Where the camera stands, geocentric, for barycentric times.
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
            ``map(patch)``, or ``map(patch, shared)``; what it returns comes back, but for None.
        rerun
            The release; by default that of `connect`, else the live tables.
        table
            Whose patches; by default the first table that the function names.
        region
            A `Cone`, `Box` or `Polygon` of `gozen.quickdb`, or a MOC: the function gets rows inside of it only.
        shared
            Sent once to each worker and given as second argument.
        sample
            Look at this part of the patches only, as 0.01.
        stream
            Give results as they come, not in the order of the patches.
        progress
            Whether a bar is shown; by default on a terminal and in a notebook, after a second.
        cache
            Whether results may come from an earlier run of the same function over the same data.

        Returns
        -------
        Iterator
            The results; work goes on a little ahead of what is taken.

        Raises
        ------
        FunctionFailed
            The function raised; the message has its traceback, the patch, and how to try it here.
        ColumnNotFound, RerunNotFound
            The nearest names are in the message.
        WorkerLost, StorageUnavailable, UnreadableInput
            What they say.
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
        """Call a function on every patch and reduce what it returns to one value.

        Parameters
        ----------
        map, rerun, table, region, shared, progress, cache
            As for `Api.map`.
        reduce
            ``reduce(a, b)`` makes one value of two; it must be associative, which is tried on three values.
        finalize
            Called once with the result.
        sample
            Look at this part of the patches only, as 0.01, and scale what adds up.

        Returns
        -------
        Any
            The value, or None where no patch gave one; with `sample` an `Estimate` of `jobs.sampling`. It is the
            same to the bit on every engine and with any number of workers.

        Raises
        ------
        FunctionFailed
            Also where `reduce` or `finalize` raise, or where `reduce` is not associative.
        ColumnNotFound, RerunNotFound, WorkerLost, StorageUnavailable, UnreadableInput
            As for `Api.map`.
        """
        mode: Mode = "reduce" if sample is None else "both"
        plan = self._planner.plan(
            JobRequest(map, reduce, finalize, shared, rerun, table, region, sample, cache=cache, mode=mode)
        )
        return reduced(plan, results(plan, self._engine, self._cache, progress), self._engine)

    def patch(self, id: str, *, rerun: str | None = None, table: str | None = None) -> Patch:  # noqa: A002 its name
        """Open one patch in this process, as a function gets it: to try the function on.

        Parameters
        ----------
        id
            As an error names it.
        rerun, table
            As in the job.
        """
        from gozen.quickdb.open_patch import opened

        return opened(self._store, self._reruns.family(rerun, table, UserCode.of()), id)

    def reruns(self) -> list[str]:
        """Return the names of all releases."""
        return self._reruns.names()

    def tables(self, rerun: str | None = None) -> list[str]:
        """Return the names of the tables of a release, or of the live ones."""
        return sorted(self._reruns.tables(rerun).versions)

    def columns(self, rerun: str | None = None) -> pd.DataFrame:
        """Return every column of every table.

        Returns
        -------
        pandas.DataFrame
            Its type, unit and meaning, by the name that a patch takes.
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
        """Look up all rows of a star, or of the stars in a circle.

        Parameters
        ----------
        source_id
            Gaia's, or one of ours.
        ra, dec
            The centre, ICRS degrees.
        radius
            Arcsec.
        columns
            Names in the table's files, and ``bjd_tdb``; all those of the files where none are given.
        rerun, table
            Where; by default the live light curves.

        Returns
        -------
        pyarrow.Table
            Star by star, in time; empty where there is none.

        Raises
        ------
        BadRequest
            Neither an id nor a position is given, or both.
        TableNotFound, MissingObject
            There is no such table, or none at all.
        """
        wanted = star_or_circle(source_id, ra, dec, radius)
        catalog = self._reruns.tables(rerun, (table,)).catalog(table)
        return light_curve(catalog, wanted, columns, self._place_m)

    def sql(self, query: str, *, rerun: str | None = None, trusted: bool = False, **mine: Any) -> pa.Table:
        """Ask in SQL, on the same files: DuckDB.

        ``FROM lightcurves`` names a table; ``exposures``, ``quality`` and ``tracklets`` are the observation log;
        ``WHERE within(ra, dec, 83.8, -5.4, 10)`` limits a table to a circle (centre in degrees, radius in arcsec) and
        reads only what the index says can lie there. Settings limit time, memory and rows (``quickdb.sql_seconds``,
        ``sql_memory_mb``, ``sql_rows``).

        Parameters
        ----------
        query
            One SELECT.
        rerun
            As for `Api.map`.
        trusted
            Whether it may open files by ``read_csv`` and the like: for queries of your own, on your own machine.
        mine
            Tables of your own (Arrow, pandas, polars) by the name that the query has for them.

        Returns
        -------
        pyarrow.Table
            The answer. No two columns have one name: the second ``ra`` is ``ra_1``.

        Raises
        ------
        BadRequest
            The query is no SELECT, does more than to read tables, or DuckDB refuses it.
        LimitExceeded
            It takes too long, too much memory, or has too many rows.
        TableNotFound
            It names a table that is not there.
        """
        try:
            from gozen.quickdb.sql.database import Database
            from gozen.quickdb.sql.parse_query import Query
            from gozen.quickdb.sql.query_sources import LOGS, QuerySources
        except ImportError as error:
            raise BadRequest(f"SQL: {error}; pip install 'gozen[sql]'") from error
        parsed = Query(query)
        own = {name.lower() for name in mine}
        words = [word for word in parsed.tables if word.lower() not in own and keys.is_name(word)]
        tables = Tables(self._store, {})
        # The observation log is there before the first table is.
        with contextlib.suppress(*([MissingObject] if {word.lower() for word in words} <= set(LOGS) else [])):
            tables = self._reruns.tables(rerun, words) if words else tables
        self._database = self._database or Database(self._store, self._settings.quickdb)
        return self._database.run(parsed, QuerySources(self._store, tables, mine), mine, trusted=trusted)

    def cache_clear(self) -> int:
        """Forget the results of earlier runs; return how many there were."""
        return self._cache.clear()
