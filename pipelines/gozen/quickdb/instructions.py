"""What the instructions of a function do, read without running it: the names it uses, what it changes, its sets."""

from __future__ import annotations

import dis
import itertools
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_SKIPPED = frozenset({"CACHE", "PRECALL", "EXTENDED_ARG", "NOP", "RESUME", "COPY_FREE_VARS", "MAKE_CELL"})
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_STORED = frozenset({"STORE_ATTR", "STORE_NAME"})
_REFUSED = {
    "STORE_GLOBAL": "changes the global {}",
    "DELETE_GLOBAL": "changes the global {}",
    "MATCH_CLASS": "matches a class by attributes",
    "BUILD_SET": "makes a set, whose order hangs on hashes",
}
_CHANGING = """
    append extend insert remove pop clear reverse sort update setdefault popitem add discard fill put partition
    resize intersection_update difference_update symmetric_difference_update appendleft extendleft popleft rotate
    subtract move_to_end
"""
"""Methods that change what they belong to."""

_ORDERLESS = frozenset({"sorted", "len", "min", "max", "any", "all", "bool"})
"""Functions for which the order of what they are given does not matter."""

_MAKERS = _ORDERLESS | {"list", "tuple", "dict", "enumerate", "sum", "zip", "iter", "reversed"}
"""Functions that go through what they are given."""


@dataclass
class Uses:
    """What a function and those inside of it do.

    Parameters
    ----------
    globals, attributes, imports
        Names that are looked up: globally, in an object, as a module.
    chains
        Names of globals with the attributes that follow them, as ``numpy``, ``linalg``, ``norm``.
    stored
        Names of attributes that it gives to objects, and of what a class inside of it has.
    refused
        What it does that may give another result the next time.
    """

    globals: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    chains: set[tuple[str, ...]] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


def read(code: types.CodeType, outer: Mapping[str, bool], sets: Collection[str], hidden: Collection[str] = ()) -> Uses:
    """Read a function.

    Parameters
    ----------
    outer
        Names of variables whose values outlive the call and can be changed, and whether they hold data (not so modules,
        classes and functions, whose methods may have any name).
    sets
        Names of globals, and of variables of an enclosing function, that are sets of other than numbers.
    hidden
        Names that do not stand for what Python has under them.
    """
    found = Uses()
    # What a function finds in an enclosing one outlives it, but not where that one is inside of it too.
    _read(code, outer, _Sets(sets, _ORDERLESS.difference(hidden), _MAKERS.difference(hidden)), found, code.co_freevars)
    return found


@dataclass(frozen=True)
class _Sets:
    """How sets are told: names of such, functions to which their order does not matter, or that make no set."""

    names: Collection[str]
    orderless: Collection[str]
    makers: Collection[str]


def _read(code: types.CodeType, outer: Mapping[str, bool], sets: _Sets, found: Uses, free: Collection[str]) -> None:
    steps = [step for step in dis.get_instructions(code) if step.opname not in _SKIPPED]
    chain: tuple[str, ...] = ()
    for step, after in itertools.zip_longest(steps, steps[1:]):
        name = str(step.argval)
        is_followed = after is not None and after.opname in ("LOAD_ATTR", "LOAD_METHOD")
        if chain or (step.opname in _GLOBAL and is_followed):
            chain = (*chain, name)
            if not is_followed:
                found.chains.add(chain)
                chain = ()
        elif step.opcode in dis.hasname:
            _take_name(step.opname, name, found)
        if step.opname in _REFUSED:
            found.refused.append(_REFUSED[step.opname].format(name))
        elif step.opname in ("STORE_DEREF", "DELETE_DEREF") and name in free:
            found.refused.append(f"changes {name}, which outlives a call")
    found.refused += _disordered(steps, sets)
    found.refused += [f"changes {name}, which outlives a call" for name in _changed(steps, outer)]
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            inner = {name: data for name, data in outer.items() if name not in one.co_varnames}
            _read(one, inner, sets, found, free)


def _take_name(operation: str, name: str, found: Uses) -> None:
    if operation in _GLOBAL:
        found.globals.add(name)
    elif operation == "IMPORT_NAME":
        found.imports.add(name)
    elif operation in _STORED:
        found.stored.add(name)
    elif operation in _ATTRIBUTE or operation not in _REFUSED:
        found.attributes.add(name)


def _disordered(steps: Sequence[dis.Instruction], sets: _Sets) -> Iterator[str]:
    """Yield what is done with sets and with views of dicts that may depend on the order of a set."""
    for at, step in enumerate(steps):
        if step.opname in _GLOBAL and step.argval in ("set", "frozenset"):
            call = _consumer(steps, at)
            if call is None or not _is_call(steps[call[0]]) or not _is_orderless(steps, at, call[0], sets):
                yield f"uses {step.argval}, whose order hangs on hashes"
        elif _is_set(step, sets.names) and not _is_orderless(steps, at, at, sets):
            yield "goes through a set, whose order hangs on hashes"
        elif step.opname in _ATTRIBUTE and step.argval in ("keys", "items") and not _is_plain_view(steps, at, sets):
            yield f"uses .{step.argval}() for other than to go through it, and a set of it has the order of hashes"


def _is_call(step: dis.Instruction) -> bool:
    return step.opname.startswith("CALL") and not step.opname.startswith("CALL_INTRINSIC")


def _is_call_of(steps: Sequence[dis.Instruction], at: int, names: Collection[str]) -> bool:
    """Tell whether a step begins a call of one of the functions."""
    return at >= 0 and steps[at].opname == "LOAD_GLOBAL" and "NULL" in steps[at].argrepr and steps[at].argval in names


def _is_set(step: dis.Instruction, sets: Collection[str]) -> bool:
    if isinstance(step.argval, frozenset):
        return not is_of_numbers(step.argval)
    return step.opname.startswith("LOAD_") and isinstance(step.argval, str) and step.argval in sets


def is_of_numbers(values: Collection[object]) -> bool:
    """Tell whether a set has the same order in each process, if it was made in the same way."""
    return all(type(one) in (int, bool) or (type(one) is float and one == one) for one in values)


def _is_orderless(steps: Sequence[dis.Instruction], start: int, made: int, sets: _Sets) -> bool:
    """Tell whether a set, of which the expression begins at one step and ends at another, is asked for no order."""
    found = _consumer(steps, made)
    if found is None:
        return False
    after, above = found
    if steps[after].opname == "CONTAINS_OP":
        return above == 0
    return _is_call(steps[after]) and steps[after].arg == 1 and _is_call_of(steps, start - 1, sets.orderless)


def _is_plain_view(steps: Sequence[dis.Instruction], at: int, sets: _Sets) -> bool:
    """Tell whether a view of a dict is gone through, or is the first argument of a function that makes no set."""
    if at + 1 == len(steps) or not _is_call(steps[at + 1]):
        return False
    found = _consumer(steps, at + 1)
    if found is None:
        return False
    begin = at
    while begin and steps[begin].opname in _ATTRIBUTE:
        begin -= 1
    after, above = found
    is_given = _is_call(steps[after]) and _is_call_of(steps, begin - 1, sets.makers)
    return is_given or steps[after].opname == "GET_ITER" or (steps[after].opname == "CONTAINS_OP" and not above)


def _changed(steps: Sequence[dis.Instruction], outer: Mapping[str, bool]) -> list[str]:
    """Return names of variables that outlive a call and that it changes, also under another name."""
    names = {name: (name, data) for name, data in outer.items()}
    changed: dict[str, None] = {}
    for at, step in enumerate(steps):
        if not step.opname.startswith("LOAD_") or step.opname in _ATTRIBUTE or step.argval not in names:
            continue
        name, data = names[step.argval] if isinstance(step.argval, str) else ("", False)
        fate = _fate(steps, at, data)
        if fate == "":
            changed[name] = None
        elif fate is not None:
            names[fate] = (name, data)
    return list(changed)


def _fate(steps: Sequence[dis.Instruction], at: int, data: bool) -> str | None:
    """Return "" where a value is changed, the name under which it is stored, or None."""
    direct = True
    while (found := _consumer(steps, at)) is not None:
        at, above = found
        step = steps[at]
        if (step.opname, above) in _CONTAINERS:
            return ""
        if step.opname in ("STORE_FAST", "STORE_NAME", "STORE_DEREF") and direct:
            return str(step.argval)
        if step.opname == "BINARY_OP" and step.argrepr.endswith("=") and above == 1 and data and direct:
            return ""
        is_part = step.argrepr == "[]" or step.opname in ("BINARY_SUBSCR", "BINARY_SLICE")
        if step.opname not in ("LOAD_ATTR", "LOAD_METHOD") and not (is_part and above):
            return None
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and f" {step.argval} " in _CHANGING and data:
            return ""
        direct = False
    return None


_CONTAINERS = frozenset({
    ("STORE_SUBSCR", 1), ("DELETE_SUBSCR", 1), ("STORE_SLICE", 2), ("STORE_ATTR", 0), ("DELETE_ATTR", 0),
})  # fmt: skip
"""Operations that change a value, by how many others lie above it on the stack."""


def _consumer(steps: Sequence[dis.Instruction], at: int) -> tuple[int, int] | None:
    """Return the step that takes the value which one step leaves on the stack, and how many lie above that value.

    None where a jump comes first: what happens then is not followed.
    """
    above = 0
    for after in range(at + 1, len(steps)):
        step = steps[after]
        if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
            return None
        if step.opname == "SWAP" and step.arg is not None:
            above = step.arg - 1 if above == 0 else 0 if above == step.arg - 1 else above
            continue
        effect = dis.stack_effect(step.opcode, step.arg, jump=False)
        if _taken(step.opname, effect) > above:
            return after, above
        above += effect
    return None


def _taken(operation: str, effect: int) -> int:
    """Return how many values an operation takes from the stack."""
    if operation in ("LOAD_ATTR", "LOAD_METHOD"):
        return 1
    if operation.startswith(("STORE_", "DELETE_", "POP_", "RETURN_")):
        return -effect
    return 0 if operation.startswith(("LOAD_", "PUSH_", "COPY", "KW_NAMES", "IMPORT_")) else 1 - effect
