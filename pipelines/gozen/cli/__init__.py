"""The ``gozen`` command: one module per verb, thin over `workflow`; heavy imports happen inside a verb."""

from __future__ import annotations

import os
import sys
import threading

QUERY_THREAD = "gozen sql"
"""Name of the thread in which a query is asked."""


def main() -> None:
    """Run the command line and exit with one of `gozen.errors.ExitCode`."""
    from gozen.cli.call import run

    code = run(sys.argv[1:])
    if any(thread.name == QUERY_THREAD for thread in threading.enumerate()):
        # A query that could not be stopped is still inside DuckDB, which Python's own end would abort.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
