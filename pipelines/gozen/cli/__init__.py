"""The ``gozen`` command: one thin module per subcommand on top of `gozen.workflow`.

Slow imports are inside the functions, so that ``gozen --help`` is fast.
"""

from __future__ import annotations

import os
import sys
import threading

QUERY_THREAD = "gozen sql"
"""Name of the thread in which a query runs."""


def main() -> None:
    """Run the command line and exit with one of `gozen.errors.ExitCode`."""
    from gozen.cli.call import run

    code = run(sys.argv[1:])
    if any(thread.name == QUERY_THREAD for thread in threading.enumerate()):
        # A query that could not be stopped still runs in DuckDB; a normal exit of Python would crash it.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
