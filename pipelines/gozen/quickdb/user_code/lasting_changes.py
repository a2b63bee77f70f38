"""Detect changes that outlive a call, because they make results depend on earlier calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gozen.quickdb.user_code.bytecode_stack import Steps, calls, consumer, is_call
from gozen.quickdb.user_code.pure_names import words

_CHANGING = words("""
    append extend insert remove pop clear reverse sort update setdefault popitem add discard fill put partition
    resize intersection_update difference_update symmetric_difference_update appendleft extendleft popleft rotate
    subtract move_to_end
""")
"""Methods that change their object."""

_WRITING = words("""
    at copyto put place putmask fill_diagonal put_along_axis insort insort_left insort_right heapify heappush heappop
    heappushpop heapreplace iadd iand imul ior isub
""")
"""Functions that change their first argument."""

_CONTAINERS = frozenset({
    ("STORE_SUBSCR", 1), ("DELETE_SUBSCR", 1), ("STORE_SLICE", 2), ("STORE_ATTR", 0), ("DELETE_ATTR", 0),
})  # fmt: skip
"""Operations that change a value, each with the number of values above it on the stack."""

_LOOKS_UP = ("LOAD_ATTR", "LOAD_METHOD")
_CHANGED = ""


def changes(
    steps: Steps, outer: Mapping[str, bool], constants: Sequence[object]
) -> tuple[list[str], set[tuple[str, int]]]:
    """Return which lasting variables a function changes (also by another name), and to which functions it passes them.

    Parameters
    ----------
    steps
        The function's instructions.
    outer
        Names of variables that outlive a call, and whether their values are data.
    constants
        The constants of the function.

    Returns
    -------
    tuple
        Names of changed variables; pairs of a function's name and the position of the argument.
    """
    names = {name: (name, data) for name, data in outer.items()}
    ends = calls(steps)
    changed: dict[str, None] = {}
    handed: set[tuple[str, int]] = set()
    for at, step in enumerate(steps):
        is_load = step.opname.startswith("LOAD_") and step.opname not in _LOOKS_UP and isinstance(step.argval, str)
        if not is_load or step.argval not in names:
            continue
        name, data = names[step.argval]
        fate = _fate(steps, at, data)
        if fate == _CHANGED or (data and _is_written(steps, at, constants)):
            changed[name] = None
        elif fate is not None:
            names[fate] = (name, data)
        elif data and (found := consumer(steps, at)) and found[0] in ends:
            handed.add((ends[found[0]], (steps[found[0]].arg or 0) - 1 - found[1]))
    return list(changed), handed


def _is_written(steps: Steps, at: int, constants: Sequence[object]) -> bool:
    """Return whether a value is the first argument of a function that changes it, or is passed as ``out=``."""
    found = consumer(steps, at)
    if found is None or not is_call(steps[found[0]]):
        return False
    if at and steps[at - 1].argval in _WRITING:
        return True
    before = steps[found[0] - 1]
    # Names of the keyword arguments, whose values are on top of the stack.
    names = constants[before.arg or 0] if before.opname == "KW_NAMES" else before.argval
    return isinstance(names, tuple) and found[1] < len(names) and names[len(names) - 1 - found[1]] == "out"


def _fate(steps: Steps, at: int, data: bool) -> str | None:
    """Return `_CHANGED` if a value is changed; else the variable that gets the value or a part of it, or None."""
    direct = True
    while (found := consumer(steps, at)) is not None:
        at, above = found
        step = steps[at]
        if (step.opname, above) in _CONTAINERS:
            return _CHANGED
        if step.opname in ("STORE_FAST", "STORE_NAME", "STORE_DEREF") and direct:
            return str(step.argval)
        if step.opname == "GET_ITER" and data and [one.opname for one in steps[at + 1 : at + 3]] == _LOOP:
            return str(steps[at + 2].argval)
        if step.opname == "BINARY_OP" and step.argrepr.endswith("=") and above == 1 and data and direct:
            return _CHANGED
        is_part = step.argrepr == "[]" or step.opname in ("BINARY_SUBSCR", "BINARY_SLICE")
        if step.opname not in _LOOKS_UP and not (is_part and above):
            return None
        if step.opname in _LOOKS_UP and step.argval in _CHANGING and data:
            return _CHANGED
        direct = False
    return None


_LOOP = ["FOR_ITER", "STORE_FAST"]
