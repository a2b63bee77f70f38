"""Entry point of the isolated child: drop all rights, then serve calls."""

from __future__ import annotations

import importlib
import os
import sys

from gozen.quickdb.isolation.codec.message_frames import Head, MessageKind
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.lockdown import lock_down


def main() -> None:
    """Drop the rights of this process, import the modules that the command line of `spawn` names, and serve calls."""
    descriptor, parent, memory, seconds, result, *preload = sys.argv[2:]
    connection = int(descriptor)
    limits = Limits(int(memory), float(seconds), int(result))
    try:
        lock_down(int(parent), connection, limits)
        for name in preload:
            importlib.import_module(name)
        from gozen.quickdb.isolation.child_loop import Serving
    except BaseException as error:
        said = f"{type(error).__name__}: {error}".encode()[:4096]
        os.write(connection, Head(MessageKind.UNAVAILABLE, 0, len(said)).packed() + said)
        raise
    Serving(connection, limits.result_bytes).run()
