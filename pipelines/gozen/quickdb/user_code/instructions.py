"""Analyse a function's bytecode without running it: the names that it uses, changed values, uses of sets."""

from __future__ import annotations

import dis
import itertools
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from gozen.quickdb.user_code.bytecode_stack import Steps, calls, consumer, is_call
from gozen.quickdb.user_code.lasting_changes import changes

_SKIPPED = frozenset({"CACHE", "PRECALL", "EXTENDED_ARG", "NOP", "RESUME", "COPY_FREE_VARS", "MAKE_CELL"})
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_STORED = frozenset({"STORE_ATTR", "STORE_NAME"})
_REFUSED = {
    "STORE_GLOBAL": "changes the global {}",
    "DELETE_GLOBAL": "changes the global {}",
    "MATCH_CLASS": "matches a class by attributes",
    "BUILD_SET": "makes a set, whose order depends on hashes",
}
_ORDERLESS = frozenset({"sorted", "len", "min", "max", "any", "all", "bool"})
"""Functions whose result does not depend on the order of their argument."""

_SET_OPERATIONS = frozenset({"|", "&", "-", "^"})
_FILLING = frozenset({"add", "discard", "remove", "update", "clear", "isdisjoint", "issubset", "issuperset"})
"""Methods of a set that do not depend on its order and do not return a set."""

_MAKERS = _ORDERLESS | {"list", "tuple", "dict", "enumerate", "sum", "zip", "iter", "reversed"}
"""Functions that iterate over their argument and do not return a set."""


@dataclass
class Uses:
    """The names that a function and its inner functions use, and the operations that are refused.

    Parameters
    ----------
    globals, attributes, imports
        Names of globals, of attributes and of imported modules.
    chains
        Names of globals with the attributes that follow them, for example ``(numpy, linalg, norm)``.
    stored
        Names of attributes that it sets, and of members of classes that it defines.
    handed
        Names of global functions to which it passes values that outlive a call, with the position of the argument.
    refused
        Descriptions of operations that may give a different result in the next run.
    """

    globals: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    chains: set[tuple[str, ...]] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    handed: set[tuple[str, int]] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


def read(code: types.CodeType, outer: Mapping[str, bool], sets: Collection[str], hidden: Collection[str] = ()) -> Uses:
    """Analyse the bytecode of a function and of its inner functions.

    Parameters
    ----------
    code
        The function's code.
    outer
        Names of variables whose values outlive the call and can be changed, and whether the values are data; modules,
        classes and functions are not data, because their methods may have any name.
    sets
        Names of globals and of variables of enclosing functions with sets that contain other values than numbers.
    hidden
        Names that are globals of the function, and so may hide Python's built-in functions.
    """
    found = Uses()
    # A variable of an enclosing function outlives the call, unless that function is an inner function of `code` itself.
    _read(code, outer, _Sets(sets, _ORDERLESS.difference(hidden), _MAKERS.difference(hidden)), found, code.co_freevars)
    return found


@dataclass(frozen=True)
class _Sets:
    """Names of variables with sets, of functions that ignore a set's order, and of functions that return no set."""

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
            found.refused.append(f"changes {name}, which lives longer than one call")
    found.refused += _disordered(steps, sets)
    changed, handed = changes(steps, outer, code.co_consts)
    found.refused += [f"changes {name}, which lives longer than one call" for name in changed]
    found.handed |= handed
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


def _disordered(steps: Steps, sets: _Sets) -> Iterator[str]:
    """Yield descriptions of uses of sets and of views of dicts that may depend on the order of a set."""
    ends = calls(steps)
    for at, step in enumerate(steps):
        if step.opname in _GLOBAL and step.argval in ("set", "frozenset"):
            call = consumer(steps, at)
            if call is None or not is_call(steps[call[0]]) or not _is_orderless(steps, call[0], ends, sets):
                yield f"uses {step.argval}, whose order depends on hashes"
        elif _is_set(step, sets.names) and not _is_orderless(steps, at, ends, sets):
            yield "iterates over a set, whose order depends on hashes"
        elif (
            step.opname in _ATTRIBUTE and step.argval in ("keys", "items") and not _is_plain_view(steps, at, ends, sets)
        ):
            yield f"uses .{step.argval}() outside a loop; if it becomes a set, its order depends on hashes"


def _is_set(step: dis.Instruction, sets: Collection[str]) -> bool:
    if isinstance(step.argval, frozenset):
        return not is_of_numbers(step.argval)
    return step.opname.startswith("LOAD_") and isinstance(step.argval, str) and step.argval in sets


def is_of_numbers(values: Collection[object]) -> bool:
    """Return whether a set contains only numbers: if built in the same way, it has the same order in each process."""
    return all(type(one) in (int, bool) or (type(one) is float and one == one) for one in values)


def _is_orderless(steps: Steps, made: int, ends: Mapping[int, str], sets: _Sets, *, stored: bool = False) -> bool:
    """Return whether the set that instruction number `made` leaves on the stack is used without regard to its order."""
    found = consumer(steps, made)
    if found is None:
        return False
    after, above = found
    step = steps[after]
    if step.opname == "CONTAINS_OP":
        return above == 0
    if step.opname == "BINARY_OP" and step.argrepr in _SET_OPERATIONS:
        return _is_orderless(steps, after, ends, sets, stored=stored)
    if step.opname == "STORE_FAST":
        return not stored and _is_filled_and_asked(steps, str(step.argval), ends, sets)
    return is_call(step) and step.arg == 1 and ends.get(after) in sets.orderless and above == 0


def _is_filled_and_asked(steps: Steps, name: str, ends: Mapping[int, str], sets: _Sets) -> bool:
    """Return whether no use of a local variable with a set depends on the order of the set."""
    for at, step in enumerate(steps):
        if not step.opname.startswith("LOAD_FAST"):
            continue
        if isinstance(step.argval, tuple) and name in step.argval:  # Python 3.13 loads two variables in one instruction
            return False
        is_filled = steps[at + 1].opname in ("LOAD_ATTR", "LOAD_METHOD") and steps[at + 1].argval in _FILLING
        if step.argval == name and not is_filled and not _is_orderless(steps, at, ends, sets, stored=True):
            return False
    return True


def _is_plain_view(steps: Steps, at: int, ends: Mapping[int, str], sets: _Sets) -> bool:
    """Return whether a view of a dict is iterated over, or is the first argument of a function that returns no set."""
    if at + 1 == len(steps) or not is_call(steps[at + 1]):
        return False
    found = consumer(steps, at + 1)
    if found is None:
        return False
    after, above = found
    step = steps[after]
    if step.opname == "BINARY_OP":
        return _is_orderless(steps, at + 1, ends, sets)
    is_given = is_call(step) and ends.get(after) in sets.makers and above == (step.arg or 0) - 1
    return is_given or step.opname == "GET_ITER" or (step.opname == "CONTAINS_OP" and not above)
