"""``python -m tests.suite.ahead``: run the unit, property and real tests with a clock two years ahead, and offline.

The installed tables of leap seconds and of the Earth's rotation are then outdated. libfaketime sets the clock of all
processes, and a network namespace leaves them only the loopback interface. The tests of the suite itself are left out,
because libfaketime 0.9.10 breaks their sleeps, and because users do not install the suite.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .clock import BEGAN
from .costs import FOLDER
from .passed import PASSED

ROOT = Path(__file__).parents[2]
TESTS = ("tests/unit", "tests/property", "tests/real", "--ignore-glob=*/test_suite_*")
OF_THE_RUN = (FOLDER, PASSED, BEGAN, "GOZEN_TIER")


def ahead(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for `faketime`: calendars alone are ahead, not waiting times and not the ages of files."""
    return {**environment, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


def without_network(command: Sequence[str | Path]) -> list[str | Path]:
    """Return a command that runs another one with loopback only."""
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *rights, "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def main(words: Sequence[str]) -> int:
    """Run the tests; return the exit code of pytest."""
    pytest = [Path(sys.executable).parent / "pytest", "-p", "no:cacheprovider", "-m", "not test_all", *(words or TESTS)]
    own = {name: value for name, value in os.environ.items() if name not in OF_THE_RUN}
    return subprocess.run(
        without_network(["faketime", "-f", "+2y", *pytest]), cwd=ROOT, env=ahead(own), check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
