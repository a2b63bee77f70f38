"""``python -m tests.suite``: the stages of ``make test``; with the argument ``all``, those of ``make test-all``.

Builds, lint and tests run at the same time. A test waits if it needs a program that is not built yet.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.effort import BUDGET_ALL_S, BUDGET_S

from . import cache
from .clock import say
from .costs import FOLDER
from .passed import PASSED, remember_tree, resumes
from .stages import INTERRUPTED, Run, Stage
from .times import COSTS, lines_of, over_budget, report, sums

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SECONDS_AT_FULL_SIZE = 7200


def stages(testers: int, *, everything: bool) -> list[Stage]:
    """Return what runs, and after what.

    Parameters
    ----------
    testers
        Processes that run tests. More than there are cores: some of them wait for clusters and servers.
    """
    pytest = (BIN / "pytest", f"--numprocesses={testers}", "--dist=loadgroup", "--no-loadscope-reorder")
    pytest = (*pytest, *([f"--timeout={SECONDS_AT_FULL_SIZE}"] if everything else []), "tests")
    programs = () if everything else ("--without", "kwok")
    further = [
        Stage("two years ahead", (BIN / "python", "-m", "tests.suite.ahead"), ("tests",)),
        Stage("seeded bugs", (BIN / "python", "-m", "tests.suite.mutants"), ("tests",)),
    ]
    return [
        Stage("Go", (".ci/setup", "go")),
        Stage("Debian packages", (".ci/setup", "system")),
        Stage("programs of Kubernetes", (BIN / "python", "-m", "tests.cluster.tools", *programs), ("Go",)),
        Stage("image", (BIN / "python", "-m", "tests.cluster.images_ahead"), ("Debian packages",)),
        Stage("lint, types, imports", ("make", "--no-print-directory", "static")),
        # The longest chain of tests waits for what is built: builds go first.
        Stage("tests", pytest, ("Debian packages", "Go"), nice=5),
        *(further if everything else ()),
    ]


def not_activated(path: str) -> str:
    """Return a search path without Python's virtual environments: no test may rely on an activated one."""
    folders = path.split(os.pathsep)
    return os.pathsep.join(one for one in folders if not (Path(one).parent / "pyvenv.cfg").exists())


def main(words: Sequence[str]) -> int:
    """Run everything; return the exit code."""
    everything = "all" in words
    os.chdir(ROOT)
    cache.forget_unused()
    tier = "all" if everything else "push"
    environment = {**os.environ, "PATH": not_activated(os.environ["PATH"]), FOLDER: str(COSTS), "GOZEN_TIER": tier}
    if everything:
        environment[PASSED] = str(remember_tree(ROOT))
    os.environ[FOLDER] = str(COSTS)
    if COSTS.exists() and not (everything and resumes(environment)):
        try:
            shutil.rmtree(COSTS)
        except PermissionError:
            sys.exit(f"{COSTS} was written by another user; remove it: sudo make clean")
    testers = int(os.environ.get("TESTERS") or len(os.sched_getaffinity(0)) + 2)
    code = Run(stages(testers, everything=everything), environment).go()
    if code == INTERRUPTED:
        say(f"run make {'test-all' if everything else 'test'} again; it {'continues' if everything else 'starts anew'}")
        return code
    over = over_budget(sums(lines_of(COSTS), "test"), BUDGET_S | (BUDGET_ALL_S if everything else {}))
    for sentence in over:
        say(f"over its budget: {sentence}")
    if everything:
        sys.stdout.write(report(COSTS) + "\n")
    if code:
        sys.stdout.write("not all tests passed; see FAILED above\n")
    elif everything and over:
        sys.stdout.write("all tests passed, but some modules are over their budget; see above\n")
        code = 1
    else:
        sys.stdout.write("all tests passed; next: make demo\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
