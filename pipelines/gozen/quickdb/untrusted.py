"""What a function that runs apart asks and gives is looked at before the engine believes it: it may say anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from gozen import errors
from gozen.errors import BadRequest, FunctionFailed
from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation.conversation import printable
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.patch import WIDEST_MARGIN_ARCSEC

_OUT_OF_MEMORY = re.compile(r"\w*MemoryError\b")


def checked_request(request: Any, patches: Collection[int], columns: Mapping[str, Collection[str]]) -> tuple[Any, ...]:
    """Return what a function's process asks.

    Parameters
    ----------
    request
        As it came: ``(kind, patch, ...)``.
    patches
        Numbers of the patches that it may ask about.
    columns
        Columns of the files that it may ask for, by table.

    Raises
    ------
    BadRequest
        When it is no request.
    """
    match request:
        case ("rows", int(patch)):
            known = patch in patches
        case ("margin", int(patch), float(arcsec)):
            known = patch in patches and 0 < arcsec <= WIDEST_MARGIN_ARCSEC
        case ("columns", int(patch), str(table), list(names)):
            known = patch in patches and all(type(name) is str and name in columns.get(table, ()) for name in names)
        case _:
            known = False
    if not known:
        raise BadRequest(f"the function's process asks {repr(request)[:200]}, which is no request: use patch(...)")
    return tuple(request)


def checked_result(found: Any, patches: Collection[int], limits: Limits) -> dict[str, Any]:
    """Return what a function's process gives for a block, a reduction or a last step, as `Program` does.

    Parameters
    ----------
    found
        As it came.
    patches
        Numbers of the patches that it may give values of.
    limits
        What it was allowed, for the message of a function that ran out of memory.

    Raises
    ------
    FunctionFailed
        When it is no such result.
    """
    match found:
        case {"failed": str(text), "kind": str(kind), "patch": str(patch)}:
            return _failure(text, kind, patch, limits)
        case {"values": list(values), "total": total, "touched": dict(touched)}:
            mine = all(type(one) is tuple and len(one) == 2 and one[0] in patches for one in values)
            if mine and all(type(names) is list for names in touched.values()):
                first = found.get("first")
                first = first if type(first) is list else []
                return {"values": values, "total": total, "touched": touched, "first": first}
        case {"total": total}:
            return {"total": total}
    raise FunctionFailed(
        f"the function's process gave {type(found).__name__} where a result belongs: {repr(found)[:200]}"
    )


def _failure(text: str, kind: str, patch: str, limits: Limits) -> dict[str, Any]:
    if _OUT_OF_MEMORY.match(text):
        text, kind = f"{limit.too_much_memory(limits)}\n\n{text}", "LimitExceeded"
    known = getattr(errors, kind, None)
    safe = kind if isinstance(known, type) and issubclass(known, BadRequest) else "FunctionFailed"
    return {"failed": printable(text), "kind": safe, "patch": printable(patch)[:80]}
