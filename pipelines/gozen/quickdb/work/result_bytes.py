"""Encode a task's result in the worker, and decode it in the caller.

Engines only transport bytes. If the library of an engine had to pickle a user's value or unpickle a user's exception,
and could not, it would show its own traceback, report the worker as lost, or retry forever.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from gozen import errors
from gozen.errors import GozenError, as_gozen_error
from gozen.quickdb.work.kept_form import unpacked
from gozen.quickdb.work.program import failed
from gozen.quickdb.work.tasks import Block, TaskResult
from gozen.quickdb.work.user_errors import is_interrupt, kind_and_text, text_of

_INSTEAD = "return arrays, numbers, text, or lists and dicts of them"
_NOT_SENT = "the result of the function cannot be sent back: {}; " + _INSTEAD
_NOT_READ = "the result of the function was sent back, but cannot be read here: {}; " + _INSTEAD


@dataclass(frozen=True)
class Sent:
    """A `TaskResult` encoded for transport.

    Parameters
    ----------
    blocks
        Number of each block, and its pickled result.
    nodes
        The pickled nodes.
    version, software, changed
        As in `TaskResult`.
    error
        Name and message of the error that was raised instead of a result.
    """

    blocks: list[tuple[int, bytes]]
    nodes: bytes
    version: str = ""
    software: str = ""
    changed: bool = False
    error: tuple[str, str] | None = None


def sent(work: Callable[[], TaskResult], task: Sequence[Block] = ()) -> Sent:
    """Run a task and return its encoded result; errors, except Ctrl-C, are returned and not raised."""
    try:
        return packed(work(), task)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Sent([], b"", error=_named(error))


def packed(result: TaskResult, task: Sequence[Block] = ()) -> Sent:
    """Encode a result; a block whose values cannot be pickled is encoded as failed."""
    known = {block.number: block for block in task}
    blocks = [(number, _block(one, known.get(number))) for number, one in result.blocks]
    try:
        return Sent(blocks, _bytes(result.nodes), result.version, result.software, result.changed)
    except BaseException as error:
        if is_interrupt(error):
            raise
        failure = _bytes(failed(_NOT_SENT.format(kind_and_text(error))))
        return Sent([(result.blocks[0][0], failure)], _bytes([]), result.version, result.software)


def received(given: Sent) -> TaskResult:
    """Decode a result; a block whose values cannot be unpickled here is returned as failed.

    Raises
    ------
    GozenError
        If the worker raised an error. It has the same name and message.
    """
    if given.error is not None:
        name, message = given.error
        raise getattr(errors, name)(message)
    blocks = [(number, unpacked(_read(data))) for number, data in given.blocks]
    nodes = _read(given.nodes)
    if isinstance(nodes, dict):
        blocks, nodes = [(blocks[0][0], nodes)], []
    return TaskResult(blocks, nodes, given.version, given.software, given.changed)


def _block(result: dict[str, Any], block: Block | None) -> bytes:
    # The second attempt is without the values for the trial of reduce: maybe only they cannot be pickled.
    for one in (result, result | {"first": []})[: 1 + bool(result.get("first"))]:
        try:
            return _bytes(one)
        except BaseException as error:
            if is_interrupt(error):
                raise
            reason = kind_and_text(error)
    names = {number: patch.id for number, patch in block.patches} if block is not None else {}
    at = next((names.get(number, "") for number, value in result.get("values", ()) if not _travels(value)), "")
    return _bytes(failed(_NOT_SENT.format(reason), patch=at))


def _travels(value: Any) -> bool:
    try:
        _bytes(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return False
    return True


def _bytes(value: Any) -> bytes:
    found: bytes = cloudpickle.dumps(value, protocol=5)
    return found


def _read(data: bytes) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301 the user's own function made it
    except BaseException as error:
        if is_interrupt(error):
            raise
        return failed(_NOT_READ.format(kind_and_text(error)))


def _named(error: BaseException) -> tuple[str, str]:
    """Return the name of the error's class in `gozen.errors`, and its message; for a bug, with the traceback."""
    if isinstance(error, GozenError):
        name = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return name, text_of(error)
    bug = as_gozen_error(error)
    return bug.name, f"{bug}\n\n{''.join(traceback.format_exception(error))}"
