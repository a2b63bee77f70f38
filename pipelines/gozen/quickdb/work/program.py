"""Call a user's functions on the patches of a block, in any process. Opens nothing itself."""

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
"""The number by which the source knows a patch, its id, and the range of ``_healpix_29`` that it covers."""


class _UserFailed(Exception):
    """The user's function raised; the message says all of it."""


@dataclass
class Program:
    """What is sent to the workers once for each job.

    Parameters
    ----------
    map, reduce, finalize
        The user's.
    shared
        The second argument of `map`, where it is not None.
    names
        What names of columns stand for.
    region
        Where rows have to lie.
    expected
        Columns of files that the functions name, by table.
    sources
        The lines of the files that the functions stand in, for tracebacks.
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
        """Call `map` on the patches of runs, and reduce.

        Parameters
        ----------
        mode
            ``map`` returns each patch's value, ``reduce`` what they make together, ``both`` both.
        runs
            The patches of each run.
        source
            Where columns come from.
        check
            Whether values are wanted on which `reduce` is tried.

        Returns
        -------
        dict[str, Any]
            ``values`` (number and value of each patch that has one), ``total``, ``touched`` (columns of files by
            table) and ``first`` (copies of the first values), or ``failed`` (what the user is told), ``kind`` and
            ``patch``. A reduce in place leaves ``values`` and ``first`` as they are.
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
                    self.expected = touched  # after the first patch all that it used is read at once
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
        """Do as `block`, where another process opens the files and answers what is asked."""
        return self.block(argument["mode"], argument["runs"], _Asking(ask), argument["check"])

    def isolated_combine(self, argument: tuple[Any, Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Do as `combine`."""
        return self.combine(*copy.deepcopy(argument))  # what comes from outside cannot be written to, but a reduce may

    def isolated_trial(self, argument: list[Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Do as `tried`."""
        return self.tried(argument)

    def isolated_finish(self, argument: Any, ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Do as `finish`."""
        return self.finish(argument)

    def isolated_state(self, argument: None, ask: Callable[[Any], Any]) -> dict[str, Any]:
        """Do as `state`."""
        return {"total": self.state()}

    def combine(self, one: Any, other: Any) -> dict[str, Any]:
        """Reduce what two blocks gave."""
        try:
            return {"total": tree_reduce.combined(self._reduced, one, other)}
        except (_UserFailed, BadRequest) as error:
            return failed(text_of(error))

    def tried(self, values: Sequence[Any]) -> dict[str, Any]:
        """Try `reduce` on values; the total is whether that says something."""
        try:
            return {"total": tree_reduce.checked(self._reduced, values)}
        except FunctionFailed as error:
            return failed(text_of(error))

    def finish(self, total: Any) -> dict[str, Any]:
        """Call `finalize`."""
        try:
            return {"total": total if self.finalize is None else _called(self.finalize, total)}
        except _UserFailed as error:
            return failed(str(error))

    def state(self) -> bytes | None:
        """Return the same as long as the functions hold what they hold now; None where that cannot be told."""
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
                return None  # its pixels touch the region, none of its rows lies in it
        value = _called(self.map, patch) if self.shared is None else _called(self.map, patch, self.shared)
        _called(reads.check)
        return value

    def _reduced(self, one: Any, other: Any) -> Any:
        assert self.reduce is not None
        return _called(self.reduce, one, other)


class _Asking:
    """A source in another process."""

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
    """Return the result of a block, or of a step, that failed; the parameters are those of `Program.block`."""
    return {"failed": text, "kind": kind, "patch": patch}


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except GozenError:
        raise
    except BaseException as error:  # sys.exit() and exceptions that are no Exception would end a worker
        if is_interrupt(error):
            raise
        raise _UserFailed(text_with_traceback(error)) from None
