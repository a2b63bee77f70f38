"""``gozen apply``, ``get``, ``describe``, ``logs`` and ``cancel`` with a real API server, for users without kubectl.

Covered: output, refusals, and a recipe in the observatory's format. Logs of pods: test_story.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from .api_server import ApiServer
from .test_crds import EXPOSURE, LIGHTCURVES, OBSERVATION, server

pytestmark = pytest.mark.xdist_group("api")
assert server
Call = Callable[..., subprocess.CompletedProcess[str]]
RECIPE = """\
Observer: A. Observer
Project: Survey
Priority: 0.5
Time Window: ["08:00:00.0", "20:00:00.0"]
Operations:
- SetParameter: { tinteg_sec: 0.5, nframe: 18 }
- Pointing: { ra: 83.8, dec: -5.4 }
- Exposure: M42
Comment:
as ever
"""


@pytest.fixture
def gozen(server: ApiServer, tmp_path: Path) -> Iterator[Call]:
    server.kubectl("create", "namespace", "people")

    def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig)}
        program = Path(sys.executable).parent / "gozen"
        return subprocess.run(
            [program, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    yield call
    for kind in ("obs", "exp", "lcj"):
        server.kubectl("-n", "people", "delete", kind, "--all", check=True)


def test_a_file_is_applied_listed_told_of_and_cancelled(gozen: Call, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("---\n".join(map(yaml.safe_dump, (OBSERVATION, EXPOSURE, LIGHTCURVES))))
    done = gozen("apply", "all.yaml", "-n", "people")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Observation good applied in people",
        "Exposure good applied in people",
        "LightCurveJob good applied in people",
        "next: gozen describe Observation good",
    ]
    header, row = gozen("get", "exp", "-n", "people").stdout.splitlines()
    assert header.split()[:4] == ["NAME", "OBJECT", "NIGHT", "SENSORS"]
    assert row.split()[:3] == ["good", "M42", "20300101"]
    assert gozen("describe", "exp", "good", "-n", "people").stdout.startswith("Exposure good in people, applied 2")
    assert gozen("cancel", "exp", "good", "-n", "people").returncode == 0
    assert gozen("get", "exp", "-n", "people").stdout == "no Exposures in people\n"


def test_a_recipe_of_the_observatory_is_applied(gozen: Call, tmp_path: Path) -> None:
    (tmp_path / "recipe").write_text(RECIPE)
    done = gozen("apply", "recipe", "--night", "20300101", "-n", "people")
    assert done.returncode == 0, done.stderr
    assert "m42" in gozen("get", "obs", "-n", "people").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("get", "stars"), "unknown kind 'stars'"),
        (("describe", "obs", "nobody"), "there is no Observation nobody"),
        (("cancel", "lcj", "nobody"), "there is no LightCurveJob nobody"),
        (("logs", "exp", "nobody"), "there is no Exposure nobody"),
        (("apply", "absent.yaml"), "cannot read absent.yaml"),
        (("apply", "bad.yaml"), "spec.nframe is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(gozen: Call, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**EXPOSURE, "spec": {**EXPOSURE["spec"], "nframe": 0}}))
    done = gozen(*words, "-n", "people")
    assert done.returncode == 64
    assert message in done.stderr


def test_what_the_api_server_refuses_is_said(gozen: Call, tmp_path: Path) -> None:
    steps = [step for step in OBSERVATION["spec"]["operations"] if "setParameter" not in step]
    bad = {**OBSERVATION, "spec": {**OBSERVATION["spec"], "operations": steps}}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(bad))
    done = gozen("apply", "bad.yaml", "-n", "people")
    assert done.returncode == 64, done.stderr
    assert "no step sets nframe" in done.stderr


def test_without_pods_there_are_no_logs(gozen: Call, tmp_path: Path) -> None:
    (tmp_path / "exposure.yaml").write_text(yaml.safe_dump(EXPOSURE))
    gozen("apply", "exposure.yaml", "-n", "people")
    done = gozen("logs", "exp", "good", "-n", "people")
    assert done.returncode == 64
    assert "good has no pods now" in done.stderr


def test_what_is_being_deleted_cannot_be_applied_again_yet(gozen: Call, server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(EXPOSURE))
    held = '{"metadata":{"finalizers":["tests.gozen.astro/held"]}}'
    for words in (("apply", "one.yaml"), ("cancel", "exp", "good"), ("apply", "one.yaml")):
        done = gozen(*words, "-n", "people")
        if words == ("apply", "one.yaml"):
            server.kubectl("-n", "people", "patch", "exp/good", "--type=merge", "-p", held)
    server.kubectl("-n", "people", "patch", "exp/good", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')
    assert done.returncode == 64
    assert "Exposure good is being deleted; wait until `gozen get` does not list it any more" in done.stderr
    assert gozen("apply", "one.yaml", "-n", "people").returncode == 0
