"""Start the process of a user's function: an almost empty environment, all rights dropped before the first call."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gozen.errors import IsolationUnavailable, LimitExceeded
from gozen.quickdb.isolation.child_socket import ChildSocket, Closed
from gozen.quickdb.isolation.codec.message_frames import MessageKind
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.lockdown import ADVICE, available
from gozen.quickdb.isolation.protocol import Conversation, end_of, printable

_START = "import sys; sys.path.append(sys.argv[1]); from gozen.quickdb.isolation.child_main import main; main()"
_START_SECONDS = 60.0
_LAST_BREATH_SECONDS = 1.0
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "TZ")


def started(limits: Limits, preload: Sequence[str]) -> Conversation:
    """Start a process and wait until it has dropped its rights and imported the modules of `preload`.

    Raises
    ------
    IsolationUnavailable
        If this machine cannot isolate a process, or the interpreter does not start.
    """
    reason = available()
    if reason is not None:
        raise IsolationUnavailable(f"a user's function cannot be isolated: {reason}; {ADVICE}")
    ours, theirs = socket.socketpair()
    with theirs:
        process = _spawned(theirs.fileno(), limits, preload)
    running = Conversation(process, ChildSocket(ours, process.pid, limits), limits)
    try:
        _await_ready(running)
    except BaseException:
        running.close()
        raise
    return running


def _spawned(descriptor: int, limits: Limits, preload: Sequence[str]) -> subprocess.Popen[bytes]:
    numbers = (descriptor, os.getpid(), limits.memory_bytes, limits.seconds, limits.result_bytes)
    root = str(Path(__file__).parents[3])
    # -I: nothing is imported from the user's site-packages, PYTHONPATH or the current folder before rights are dropped.
    command = [sys.executable, "-I", "-B", "-c", _START, root, *map(str, numbers), *preload]
    return subprocess.Popen(  # noqa: S603  # the interpreter of this process
        command,
        env=_environment(os.environ),
        cwd="/",
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that Ctrl-C reaches only the worker
    )


def _await_ready(running: Conversation) -> None:
    connection = running.connection
    try:
        connection.give(_START_SECONDS)
        head = connection.head()
        said = connection.read(min(head.length, 4096))
    except Closed as error:
        running.close(_LAST_BREATH_SECONDS)
        raise IsolationUnavailable(
            f"the isolated process does not start: it ended at once ({end_of(running.process.returncode)}); check that "
            f"the machine has enough memory, and that {sys.executable} can import gozen"
        ) from error
    except LimitExceeded as error:
        raise IsolationUnavailable(
            f"the isolated process does not start: it was not ready after {_START_SECONDS:g} s; run it again when the "
            "machine is less busy"
        ) from error
    if head.kind is not MessageKind.READY:
        raise IsolationUnavailable(
            f"the function's process could not be isolated: {printable(str(said, errors='replace'))}"
        )


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the child's environment; libraries get one thread, because the worker pool already uses all processors."""
    kept = {name: ours[name] for name in _KEPT_VARIABLES if name in ours}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    # Matplotlib cannot be imported without a folder that seems to be writable; this one only seems so.
    fixed = {"HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "PATH": "", "MPLCONFIGDIR": "/tmp"}  # noqa: S108  # as above
    return {**fixed, **threads, **kept}
