"""Each ``gozen`` command started once as users start it: its output is the same as through the fork server.

Other tests skip the start of the command. This module shows that nothing depends on this: exit codes, both output
streams, and the imports of a new interpreter. `demo` and `simulate` are started by the fixtures of these names. Not
covered: signals (test_night_by_command, test_watch).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gozen.cli import app

from .conftest import CAMERA, NIGHT
from .fork_client import ForkServer
from .small_demo import GOZEN

STAR = ("--ra", "19.75", "--dec", "29.71", "--radius", "500")
CALLS = {
    "demo": (("demo", "--folder", "none", "--report-only"), 64),
    "simulate": (("simulate", "--sensors", "999"), 64),
    "run": (("run", "recipe.yaml"), 0),
    "watch": (("watch", "nowhere", "--once"), 64),
    "masters": (("masters",), 0),
    "reduce": (("reduce", NIGHT, "00000003"), 0),
    "night": (("night", "append", NIGHT), 0),
    "lightcurve": (("lightcurve", *STAR, "--csv"), 0),
    "sql": (("sql", "SELECT count(*) AS n FROM lightcurves"), 0),
    "tracklets": (("tracklets", "--csv"), 0),
    "exposures": (("exposures", "--csv"), 0),
    "quality": (("quality", "--csv"), 0),
    "config": (("config",), 0),
    "doctor": (("doctor",), 0),
    "instrument": (("instrument", "list"), 0),
    "archive": (("archive", "verify"), 0),
    "catalog": (("catalog", "list"), 0),
    "share": (("share", "list"), 64),
}
# tests/cluster/test_commands.py starts those of a cluster, test_hub.py the last one.
STARTED_ELSEWHERE = {"apply", "get", "describe", "logs", "cancel", "hub"}


def test_every_verb_is_started() -> None:
    command = app.command()
    assert set(command.commands) - STARTED_ELSEWHERE == set(CALLS)


@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_that_is_started_says_what_a_forked_one_says(
    verb: str, reduced: Path, forks: ForkServer, tmp_path: Path
) -> None:
    words, code = CALLS[verb]
    folder = shutil.copytree(reduced, tmp_path / "night")
    environment = {**os.environ, "GOZEN_INSTRUMENT": str(CAMERA), "GOZEN_WORKERS": "1"}
    started = subprocess.run(
        [GOZEN, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    forked = forks.run(words, folder, environment)
    assert started.returncode == code, started.stdout + started.stderr
    assert forked.returncode == code
    assert [steady(forked.stdout), forked.stderr] == [steady(started.stdout), started.stderr]


def steady(said: str) -> str:
    """Return what was said without the room on the disk, which changes meanwhile."""
    return re.sub(r"[\d.]+ GB free *", "", said)


def test_the_module_can_be_started_too(reduced: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "gozen", "--version"], cwd=reduced, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("gozen ")
