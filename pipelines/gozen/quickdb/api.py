"""What a notebook calls: connect, then map, mapreduce, look up, ask in SQL; where things run is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gozen.archive.store import open_archive
from gozen.errors import BadRequest, MissingObject
from gozen.lightcurves.barycentre import Place
from gozen.quickdb.cache import Cache
from gozen.quickdb.columns import Names
from gozen.quickdb.engines import Engine
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.listing import listed, read_for, shown
from gozen.quickdb.patch import Patch
from gozen.quickdb.program import Mode, Program
from gozen.quickdb.region import as_region
from gozen.quickdb.running import Plan, mapped, planned, reduced, results
from gozen.quickdb.tables import Family, Tables, live, released
from gozen.quickdb.usercode import UserCode
from gozen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from gozen.quickdb.sql import Database

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
        self._rerun = rerun
        self._limits = limits
        self._place_m = place_m
        self._store = open_archive(settings)
        self._released: dict[str, Tables] = {}
        self._live = Tables(self._store, {}, place_m)
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
        map: Map,  # noqa: A002 what CATALOG calls it
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
        program = Program(map, _NO_NAMES, shared=shared)
        plan = self._planned(program, "map", rerun, table, region, sample, cache)
        return mapped(results(plan, self._engine, self._cache, progress), in_order=not stream)

    def mapreduce(
        self,
        map: Map,  # noqa: A002 what CATALOG calls it
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
            ``reduce(a, b)`` makes one value of two; it must be associative, which is tried on the first patches.
        finalize
            Called once with the result.
        sample
            Look at this part of the patches only, as 0.01, and scale what adds up.

        Returns
        -------
        Any
            The value, or None where no patch gave one; with `sample` a `gozen.quickdb.sampling.Estimate`. It is the
            same to the bit on every engine and with any number of workers.

        Raises
        ------
        FunctionFailed
            Also where `reduce` or `finalize` raise, or where `reduce` is not associative.
        ColumnNotFound, RerunNotFound, WorkerLost, StorageUnavailable, UnreadableInput
            As for `Api.map`.
        """
        program = Program(map, _NO_NAMES, reduce, finalize, shared)
        mode: Mode = "reduce" if sample is None else "both"
        plan = self._planned(program, mode, rerun, table, region, sample, cache)
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
        from gozen.quickdb.work import FileSource

        family = self._family(rerun, table, UserCode.of())
        number = next((at for at, one in enumerate(family.patches) if one.id == id), None)
        if number is None:
            known = family.patches[0].id if family.patches else "5/8131/3"
            raise BadRequest(f"no patch {id!r}: it is order/pixel/number, as {known!r}")
        one = family.patches[number]
        source = FileSource(self._store, family.files)
        source.begin([(number, one)])
        return Program(_nothing, family.names).patch((number, id, one.start, one.stop), source)

    def reruns(self) -> list[str]:
        """Return the names of all releases."""
        from gozen.catalog.release import releases

        return releases(self._store)

    def tables(self, rerun: str | None = None) -> list[str]:
        """Return the names of the tables of a release, or of the live ones."""
        return sorted(self._tables(rerun, ()).versions)

    def columns(self, rerun: str | None = None) -> pd.DataFrame:
        """Return every column of every table.

        Returns
        -------
        pandas.DataFrame
            Its type, unit and meaning, by the name that a patch takes.
        """
        return listed(self._tables(rerun, ()))

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
        if (source_id is None) == (ra is None or dec is None):
            raise BadRequest("say which star: source_id=..., or ra=... and dec=... in degrees")
        catalog = self._tables(rerun, (table,)).catalog(table)
        names = None if columns is None else read_for(columns, self._place_m)
        if source_id is not None:
            return shown(catalog.lightcurve(source_id, names), columns, self._place_m)
        assert ra is not None
        assert dec is not None
        return shown(catalog.cone(ra, dec, radius, names), columns, self._place_m)

    def sql(self, query: str, *, rerun: str | None = None, **mine: Any) -> pa.Table:
        """Ask in SQL, on the same files: DuckDB.

        ``FROM lightcurves`` names a table; ``WHERE within(ra, dec, 83.8, -5.4, 10)`` limits it to a circle (centre in
        degrees, radius in arcsec) and reads only what the index says can lie there.

        Parameters
        ----------
        query
            One SELECT.
        rerun
            As for `Api.map`.
        mine
            Tables of your own (Arrow, pandas, polars) by the name that the query has for them.

        Returns
        -------
        pyarrow.Table
            The answer.

        Raises
        ------
        BadRequest
            The query is no SELECT, or DuckDB refuses it.
        TableNotFound
            It names a table that is not there.
        """
        try:
            from gozen.quickdb.sql import Database, Query
        except ImportError as error:
            raise BadRequest(f"SQL: {error}; pip install 'gozen[sql]'") from error
        parsed = Query(query)
        words = [word for word in parsed.tables if word not in mine]
        self._database = self._database or Database(self._store, self._settings.storage)
        return self._database.run(parsed, self._tables(rerun, words) if words else Tables(self._store, {}), mine)

    def cache_clear(self) -> int:
        """Forget the results of earlier runs; return how many there were."""
        return self._cache.clear()

    def _planned(
        self,
        program: Program,
        mode: Mode,
        rerun: str | None,
        table: str | None,
        region: Any,
        sample: float | None,
        keep: bool,
    ) -> Plan:
        code = UserCode.of(program.map, program.reduce, program.shared)
        return planned(
            program,
            code,
            self._family(rerun, table, code),
            (self._store.url, self._settings.storage),
            rerun=rerun or self._rerun,
            mode=mode,
            region=None if region is None else as_region(region),
            sample=sample,
            limits=self._limits,
            keep=keep,
        )

    def _tables(self, rerun: str | None, words: Sequence[str]) -> Tables:
        """Return the tables of a release, or the live ones of these names, or all live ones where none is live."""
        name = rerun or self._rerun
        if name is not None:
            if name not in self._released:
                self._released[name] = released(self._store, name, self._place_m)
            return self._released[name]
        found = live(self._store, words, self._live)
        if not found.versions and words:
            found = live(self._store, (), self._live)
        if not found.versions:
            names = self.reruns()
            hint = f"there are the releases {', '.join(names)}: name one" if names else "append a night, or import one"
            raise MissingObject(f"the archive {self._store.url} has no live table; {hint}")
        self._live = found
        return found

    def _family(self, rerun: str | None, table: str | None, code: UserCode) -> Family:
        """Return the table that is named, else the first that the function names, else the first of all."""
        words = _named(code)
        tables = self._tables(rerun, (table,) if table is not None else words)
        known = [word for word in words if word in tables.versions] or sorted(tables.versions)
        return tables.family(known[0] if table is None else table)


def _named(code: UserCode) -> list[str]:
    """Return what may be tables in the texts of functions: what stands before the first dot, as in ``forced.ra``."""
    words = dict.fromkeys(text.partition(".")[0] for text in code.strings if "." in text)
    return [word for word in words if word.isidentifier()]


def _nothing(patch: Patch) -> None:
    """Stand for the function where a patch is only looked at."""


_NO_NAMES = Names({})
