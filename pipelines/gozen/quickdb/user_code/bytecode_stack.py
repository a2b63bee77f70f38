"""Find the bytecode instruction that consumes a value which another one leaves on the interpreter's stack."""

from __future__ import annotations

import dis
from collections.abc import Sequence

_BEFORE_CALL = dis.opmap.get("PRECALL")
"""Python 3.11 splits the stack effect of a call into two instructions; the first one moves nothing itself."""

Steps = Sequence[dis.Instruction]
"""The bytecode instructions of a function that change the stack."""


def consumer(steps: Steps, at: int) -> tuple[int, int] | None:
    """Return the index of the instruction that takes a value from the stack, and the number of values above it.

    Instruction number `at` has put the value on the stack. None if a jump comes first: jumps are not followed.
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
        if step.opname == "CALL" and _BEFORE_CALL is not None:
            effect += dis.stack_effect(_BEFORE_CALL, step.arg)
        if _taken(step.opname, effect) > above:
            return after, above
        above += effect
    return None


def _taken(operation: str, effect: int) -> int:
    """Return the number of values that an operation takes from the stack."""
    if operation in ("LOAD_ATTR", "LOAD_METHOD"):
        return 1
    if operation.startswith(("STORE_", "DELETE_", "POP_", "RETURN_")):
        return -effect
    return 0 if operation.startswith(("LOAD_", "PUSH_", "COPY", "KW_NAMES", "IMPORT_")) else 1 - effect


def is_call(step: dis.Instruction) -> bool:
    """Return whether an instruction calls a function."""
    return step.opname.startswith("CALL") and not step.opname.startswith("CALL_INTRINSIC")


def begins_call(step: dis.Instruction) -> bool:
    """Return whether an instruction loads an object in order to call it."""
    return "NULL" in step.argrepr


def calls(steps: Steps) -> dict[int, str]:
    """Return the names of the global functions that the code calls, by the index of the calling instruction."""
    loads = [(at, str(one.argval)) for at, one in enumerate(steps) if one.opname == "LOAD_GLOBAL" and begins_call(one)]
    ends = [(consumer(steps, at), name) for at, name in loads]
    return {end[0]: name for end, name in ends if end is not None and is_call(steps[end[0]])}
