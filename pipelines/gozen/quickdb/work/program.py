"""Call a user's functions on the patches of a block, in any process. It opens no files itself."""

from __future__ import annotations

import copy
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gozen.errors import BadRequest, FunctionFailed, GozenError
from gozen.quickdb.patches.column_definitions import Names
from gozen.quickdb.patches.patch import Patch, PatchReads, PatchSource
from gozen.quickdb.patches.region import SkyRegion
from gozen.quickdb.user_code.held_values import state
from gozen.quickdb.work import tree_reduce
from gozen.quickdb.work.tree_reduce import Tree
from gozen.quickdb.work.user_errors import is_interrupt, name_of, text_of, text_with_traceback

Mode = Literal["map", "reduce", "both"]
PatchLine = tuple[int, str, int, int]
"""Number of a patch in its source, its id, and the start and stop of the range of ``_healpix_29`` that it covers."""


class _UserFailed(Exception):
    """The user's function raised an error; the message contains it and its traceback."""


@dataclass
class Program:
    """The user's functions and the data that they need, sent to the workers once for each job.

    Parameters
    ----------
    map, reduce, finalize
        The user's functions.
    shared
        The second argument of `map`, if it is not None.
    names
        Finds a column of the tables by its name.
    region
        Region on the sky to which rows are restricted; None for all rows.
    expected
        Columns of files that the functions name, by table.
    sources
        Lines of the source files of the functions, by file name, for tracebacks.
    """

    map: Callable[..., Any]
    reduce: Callable[[Any, Any], Any] | None = None
    finalize: Callable[[Any], Any] | None = None
    shared: Any = None
    names: Names = field(default_factory=lambda: Names({}))
    region: SkyRegion | None = None
    expected: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name, lines in self.sources.items():
            linecache.cache.setdefault(name, (sum(map(len, lines)), None, list(lines), name))

    def block(
        self, mode: Mode, runs: Sequence[Sequence[PatchLine]], source: PatchSource, check: bool
    ) -> dict[str, Any]:
        """Call `map` on the patches of a block, and reduce the values.

        Parameters
        ----------
        mode
            ``map`` returns the value of each patch, ``reduce`` the reduced value, and ``both`` returns both.
        runs
            The patches of the block, in groups that are reduced from left to right.
        source
            Source of the columns.
        check
            Whether to return values for a trial of `reduce`.

        Returns
        -------
        dict[str, Any]
            ``values`` (number and value of each patch that has one), ``total``, ``touched`` (columns of files by
            table) and ``first`` (copies of the first values); or, after an error, ``failed`` (the message), ``kind``
            (the name of the error) and ``patch``. A reduce in place does not change ``values`` and ``first``.
        """
        touched: dict[str, list[str]] = {}
        values: list[tuple[int, Any]] = []
        first: list[Any] = []
        tree = Tree(self._reduced, len(runs))
        at = ""
        try:
            for number, run in enumerate(runs):
                of_run = []
                for line in run:
                    at = line[1]
                    of_run.append(self._mapped(line, source, touched))
                    self.expected = touched  # later patches read all columns of the first at once
                if mode != "reduce":
                    values += _of_patches(run, _called(copy.deepcopy, of_run) if mode == "both" else of_run)
                if mode != "map":
                    for value in of_run if check else ():
                        if value is not None and len(first) < tree_reduce.TRIED:
                            tree_reduce.keep_copy(value, first)
                    tree.add(number, tree_reduce.along(self._reduced, of_run))
        except _UserFailed as error:
            return failed(str(error), patch=at)
        except BadRequest as error:
            return failed(text_of(error), error.name, at)
        return {"values": values, "total": tree.total, "touched": touched, "first": first}

    def isolated_block(self, argument: dict[str, Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Call `block` in an isolated process; the worker opens the files and answers requests."""
        return self.block(argument["mode"], argument["runs"], _Asking(ask), argument["check"])

    def isolated_combine(self, argument: tuple[Any, Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Call `combine` in an isolated process."""
        return self.combine(*copy.deepcopy(argument))  # arrays are read-only here; a reduce may write

    def isolated_trial(self, argument: list[Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Call `tried` in an isolated process."""
        return self.tried(argument)

    def isolated_finish(self, argument: Any, ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Call `finish` in an isolated process."""
        return self.finish(argument)

    def isolated_state(self, argument: None, ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Call `state` in an isolated process."""
        return {"total": self.state()}

    def combine(self, one: Any, other: Any) -> dict[str, Any]:
        """Reduce the values of two blocks."""
        try:
            return {"total": tree_reduce.combined(self._reduced, one, other)}
        except (_UserFailed, BadRequest) as error:
            return failed(text_of(error))

    def tried(self, values: Sequence[Any]) -> dict[str, Any]:
        """Test `reduce` on values; the total of the result says whether the test was conclusive."""
        try:
            return {"total": tree_reduce.checked(self._reduced, values)}
        except FunctionFailed as error:
            return failed(text_of(error))

    def finish(self, total: Any) -> dict[str, Any]:
        """Call `finalize` on the total."""
        try:
            return {"total": total if self.finalize is None else _called(self.finalize, total)}
        except _UserFailed as error:
            return failed(str(error))

    def state(self) -> bytes | None:
        """Return a digest of the functions' state, valid in this process only; None if it cannot be computed."""
        return state(self.map, self.reduce, self.shared)

    @property
    def function_names(self) -> str:
        """The names of the functions that blocks call, for messages."""
        return " and ".join(name_of(one) for one in (self.map, self.reduce) if one is not None)

    def _mapped(self, line: PatchLine, source: PatchSource, touched: dict[str, list[str]]) -> Any:
        number, name, start, stop = line
        reads = PatchReads(source, self.names, self.expected, touched)
        patch = Patch(reads, number, name, (start, stop), source.rows(number))
        if self.region is not None:
            patch = patch.within(self.region)
            if not patch.size:
                return None  # its pixels overlap the region, but none of its rows is in it
        value = _called(self.map, patch) if self.shared is None else _called(self.map, patch, self.shared)
        _called(reads.check)
        return value

    def _reduced(self, one: Any, other: Any) -> Any:
        assert self.reduce is not None
        return _called(self.reduce, one, other)


class _Asking:
    """A source of columns in an isolated process: it requests them from the worker, which has the files open."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask

    def rows(self, patch: int) -> int:
        rows: int = self._ask(("rows", patch))
        return rows

    def columns(self, patch: int, table: str, names: Sequence[str]) -> Mapping[str, Any]:
        found: dict[str, Any] = self._ask(("columns", patch, table, list(names)))
        return found

    def margin(self, patch: int, arcsec: float) -> tuple[int, int]:
        number, rows = self._ask(("margin", patch, float(arcsec)))
        return number, rows


def _of_patches(run: Sequence[PatchLine], values: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return the number and the value of each patch that has one."""
    return [(line[0], value) for line, value in zip(run, values, strict=True) if value is not None]


def failed(text: str, kind: str = "FunctionFailed", patch: str = "") -> dict[str, Any]:
    """Return the result of a block or step that failed; `Program.block` describes its items."""
    return {"failed": text, "kind": kind, "patch": patch}


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except GozenError:
        raise
    except BaseException as error:  # SystemExit and other BaseExceptions would end a worker
        if is_interrupt(error):
            raise
        raise _UserFailed(text_with_traceback(error)) from None
