"""Validate requests and results of an isolated function; both may be hostile.

Types are checked before values are compared, because objects such as arrays redefine `==` and `in`. Error messages
give the type of a refused value and do not print it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from gozen.errors import BadRequest, ColumnNotFound, FunctionFailed, LimitExceeded
from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.protocol import printable
from gozen.quickdb.patches.patch import check_margin
from gozen.quickdb.work.tree_reduce import TRIED

_OUT_OF_MEMORY = re.compile(r"\w*MemoryError\b")
_TEXT = 100_000
"""Maximum number of characters that are used of the message of a failure."""
_OWN = (BadRequest, ColumnNotFound, FunctionFailed)
"""Errors that a patch raises in the isolated process. Failures with other names are reported as FunctionFailed."""

Columns = Mapping[str, Collection[str]]


def checked_request(request: Any, patches: Collection[int], columns: Columns) -> tuple[Any, ...]:
    """Return a request of an isolated process if it is valid.

    Parameters
    ----------
    request
        The request as received; ``(kind, patch, ...)`` if it is valid.
    patches
        Numbers of the patches, and margins of patches, that it may name.
    columns
        Columns of the files that it may name, by table.

    Raises
    ------
    BadRequest
        If the request is not valid.
    """
    if type(request) is not tuple or len(request) < 2 or type(request[0]) is not str or type(request[1]) is not int:
        raise _no_request(request)
    kind, patch, *rest = request
    kinds = [type(one) for one in rest]
    if patch not in patches:
        raise _no_request(request)
    if kind == "margin" and kinds == [float]:
        check_margin(rest[0])
    elif kind == "columns" and kinds == [str, list]:
        if not _are_columns(rest[0], rest[1], columns):
            raise _no_request(request)
    elif kind != "rows" or kinds:
        raise _no_request(request)
    return request


def _no_request(request: Any) -> BadRequest:
    return BadRequest(
        f"the function's process sent a {type(request).__name__} instead of a request for columns of its patches: use "
        "patch(...)"
    )


def _are_columns(table: Any, names: Any, columns: Columns) -> bool:
    """Tell whether `names` are columns of the table, each once."""
    if type(table) is not str or type(names) is not list or any(type(name) is not str for name in names):
        return False
    known = columns.get(table, ())
    return len(names) <= len(known) and len(set(names)) == len(names) and all(name in known for name in names)


def checked_block(found: Any, patches: Mapping[int, str], columns: Columns, limits: Limits) -> dict[str, Any]:
    """Return an isolated process's result of `Program.block` if it is valid.

    Parameters
    ----------
    found
        The result as it was received from the child.
    patches
        The patches for which the result may contain values: the id of each, by its number.
    columns
        Columns of the files that the process may have read, by table.
    limits
        Limits of the process, for the message if it ran out of memory.

    Raises
    ------
    FunctionFailed
        If the result is not valid.
    """
    given = _with_keys(found, ("values", "total", "touched", "first"), patches.values(), limits)
    if "failed" in given:
        return given
    values, touched = given["values"], given["touched"]
    if type(values) is not list or not _are_of(values, patches):
        raise _no_result("a list of the values of patches", values)
    if type(touched) is not dict or not all(_are_columns(table, names, columns) for table, names in touched.items()):
        raise _no_result("a dict of the columns that were read", touched)
    if type(given["first"]) is not list or len(given["first"]) > TRIED:
        raise _no_result(f"a list of at most {TRIED} values for the test of reduce", given["first"])
    return given


def _are_of(values: list[Any], patches: Collection[int]) -> bool:
    """Tell whether each value is a pair whose first item is the number of a patch, and no number occurs twice."""
    # The numbers are checked before a set is made of them: hostile integers may all have the same hash.
    if len(values) > len(patches) or not all(
        type(one) is tuple and len(one) == 2 and type(one[0]) is int and one[0] in patches for one in values
    ):
        return False
    return len({one[0] for one in values}) == len(values)


def checked_total(found: Any, limits: Limits) -> dict[str, Any]:
    """Return an isolated process's result of `Program.combine`, `tried` or `finish` if it is valid.

    Raises
    ------
    FunctionFailed
        If the result is not valid.
    """
    return _with_keys(found, ("total",), (), limits)


def checked_state(found: Any, limits: Limits) -> bytes | None:
    """Return the digest of an isolated program's state, None if unknown; raises the errors of `checked_total`."""
    state = _with_keys(found, ("total",), (), limits).get("total")
    return state if type(state) is bytes else None


def _with_keys(found: Any, keys: tuple[str, ...], ids: Collection[str], limits: Limits) -> dict[str, Any]:
    if type(found) is not dict or not all(type(key) is str for key in found):
        raise _no_result("a result", found)
    if found.keys() == {"failed", "kind", "patch"}:
        return _failure(found, ids, limits)
    if found.keys() != set(keys):
        raise _no_result("a result", found)
    return found


def _no_result(what: str, found: Any) -> FunctionFailed:
    return FunctionFailed(
        f"the function's process sent an invalid result (type {type(found).__name__}), where {what} was expected. The "
        "function, or a library that it calls, has changed the memory of its process; correct the function"
    )


def _failure(found: dict[str, Any], ids: Collection[str], limits: Limits) -> dict[str, Any]:
    text, kind, patch = (found[key] for key in ("failed", "kind", "patch"))
    if not all(type(one) is str for one in (text, kind, patch)):
        raise _no_result("the description of an error", found)
    text, kind = text[:_TEXT], kind[:_TEXT]
    if _OUT_OF_MEMORY.match(text):
        text, kind = f"{limit.too_much_memory(limits)}\n\n{text}", LimitExceeded.__name__
    elif kind not in {one.__name__ for one in _OWN}:
        text, kind = f"{kind[:80]}: {text}", FunctionFailed.__name__
    return {"failed": printable(text), "kind": kind, "patch": patch if patch in ids else ""}
