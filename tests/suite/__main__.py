"""``python -m tests.suite``: the stages of ``make test``, and of ``make test-all`` with the word ``all``.

Builds, lint and tests run beside each other; a test that needs a program which is being built waits for it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.effort import BUDGET_S

from . import cache
from .clock import say
from .costs import FOLDER
from .passed import remember_tree
from .stages import INTERRUPTED, Run, Stage
from .times import COSTS, lines_of, over_budget, sums

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def stages(testers: int, *, everything: bool) -> list[Stage]:
    """Return what runs, and after what.

    Parameters
    ----------
    testers
        Processes that run tests. More than there are cores: some of them wait for clusters and servers.
    """
    pytest = (BIN / "pytest", f"--numprocesses={testers}", "--dist=loadgroup", "--no-loadscope-reorder", "tests")
    programs = () if everything else ("--without", "kwok")
    return [
        Stage("Go", (".ci/setup", "go")),
        Stage("Debian packages", (".ci/setup", "system")),
        Stage("programs of Kubernetes", (BIN / "python", "-m", "tests.cluster.tools", *programs), ("Go",), nice=True),
        Stage("image", (BIN / "python", "-m", "tests.cluster.own_images"), ("Debian packages",), nice=True),
        Stage("lint, types, imports", ("make", "--no-print-directory", "static")),
        Stage("tests", pytest, ("Debian packages",)),
    ]


def main(words: Sequence[str]) -> int:
    """Run everything; return the exit code."""
    everything = "all" in words
    os.chdir(ROOT)
    cache.forget_unused()
    environment = {**os.environ, FOLDER: str(COSTS), "GOZEN_TIER": "all" if everything else "push"}
    if everything:
        environment["GOZEN_PASSED"] = str(remember_tree(ROOT))
    os.environ[FOLDER] = str(COSTS)
    if not everything:
        shutil.rmtree(COSTS, ignore_errors=True)
    testers = int(os.environ.get("TESTERS") or (os.cpu_count() or 1) + 2)
    code = Run(stages(testers, everything=everything), environment).go()
    if code == INTERRUPTED:
        say("make test-all goes on from here" if everything else "make test begins again")
        return code
    over = over_budget(sums(lines_of(COSTS), "test"), BUDGET_S)
    for sentence in over:
        say(f"over its budget: {sentence}")
    code = code or int(everything and bool(over))
    sys.stdout.write("not all tests passed; see FAILED above\n" if code else "all tests passed; next: make demo\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
