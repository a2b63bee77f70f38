"""The ``gozen`` command: one verb per job, thin over the services; nothing heavy is imported before a verb runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with a code of the contract (DESIGN §7)."""
    from gozen.cli.call import run

    sys.exit(run(sys.argv[1:]))
