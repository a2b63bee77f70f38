"""The credentials of the object store are only where they are needed, and not in output, logs or crash reports.

Covered: a reduction that crashes with a traceback, `gozen config` and `gozen doctor` in a pod, environments and command
lines of all processes, all objects of the API server except Secrets, logs of node and pods, /metrics. Not covered:
credentials that change while a night runs (the tests of the object store).
"""

from __future__ import annotations

import base64
import json

import pytest
from tests.services.s3_server import SECRET

from .guarded import CREDENTIALS, PYTHON, Guarded, reduction_pod
from .machine import run
from .processes import wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
FORMS = (SECRET, base64.b64encode(SECRET.encode()).decode(), base64.b64encode(CREDENTIALS.encode()).decode()[:60])
CRASHES = """
import sys
from gozen.archive.stores.s3_store import S3Store
from gozen.cli import main
asks = S3Store.sizes
def crash(store, *_):
    print("asked the store:", asks(store, ""), flush=True)
    raise RuntimeError("a bug of ours")
S3Store.sizes = S3Store.read = S3Store.exists = crash
sys.argv = ["gozen", "--debug", *sys.argv[1:]]
main()
"""
ASKS = """
import os, subprocess
for words in ("config", "doctor", "reduce --help"):
    print(subprocess.run(["gozen", *words.split()], capture_output=True, text=True), flush=True)
print(dict(os.environ), flush=True)
os.abort()
"""
PROCESSES = """
import pathlib
for name in ("environ", "cmdline"):
    for path in pathlib.Path("/proc").glob(f"[0-9]*/{name}"):
        print(path, path.read_bytes())
"""
METRICS = (
    "import urllib.request; print(urllib.request.urlopen('http://localhost:8080/metrics', timeout=20).read().decode())"
)
FILE = """
import os
path = os.environ["AWS_SHARED_CREDENTIALS_FILE"]
print(oct(os.stat(path).st_mode))
print(open(path).read())
"""


def inside(place: Guarded, pod: str, program: str) -> str:
    """Return what a program of ours prints in a pod."""
    return place.kubectl("exec", pod, "--", PYTHON, "-c", program, check=True).stdout


def ended(place: Guarded, name: str, program: str, arguments: list[str] | None) -> str:
    """Run a reduction pod with another program to its end; return what kubectl says of it."""
    pod = reduction_pod(place.node, name, program, arguments)
    place.kubectl("create", "-f", "-", stdin=json.dumps(pod), check=True)
    phase = ("get", "pod", name, "--output=jsonpath={.status.phase}")
    wait_until(lambda: place.kubectl(*phase).stdout in ("Failed", "Succeeded"), f"the end of {name}", 120)
    return place.kubectl("logs", name, check=True).stdout


@pytest.fixture(scope="module")
def said(gozen_guarded: Guarded) -> str:
    """Return all that anybody can read of Gozen but its Secrets, after crashes and questions."""
    place, node = gozen_guarded, gozen_guarded.node
    assert "a bug of ours" in ended(place, "crashes", CRASHES, None)
    assert "GOZEN_ARCHIVE" in ended(place, "asks", ASKS, [])
    parts = [inside(place, "deployment/gozen-operator", METRICS)]
    pods = ("deployment/gozen-operator", "deployment/gozen-observer", "pod/reduction")
    parts += [inside(place, pod, PROCESSES) for pod in pods]
    kinds = node.kubectl("api-resources", "--verbs=list", "--output=name", check=True).stdout.split()
    listed = ",".join(kind for kind in kinds if kind != "secrets")
    parts.append(node.kubectl("get", listed, "--all-namespaces", "--output=json", "--show-managed-fields").stdout)
    parts.append(run(node.machine.command(["sh", "-c", "cat /var/log/pods/*/*/*.log"])))
    parts += [path.read_text(errors="replace") for path in (node.folder / "logs").glob("*.log")]
    return "\n".join(parts)


def test_the_pods_have_the_credentials_in_a_file(gozen_guarded: Guarded) -> None:
    for pod in ("deployment/gozen-operator", "deployment/gozen-observer", "pod/reduction"):
        mode, content = inside(gozen_guarded, pod, FILE).split("\n", 1)
        assert mode == "0o100440"
        assert content.strip() == CREDENTIALS.strip()


@pytest.mark.parametrize("form", FORMS, ids=["plain", "base64", "file"])
def test_no_secret_is_in_anything_that_is_said(said: str, form: str) -> None:
    at = said.find(form)
    assert at < 0, said[max(at - 400, 0) : at + 100]


def test_all_places_were_searched(said: str) -> None:
    # What a leak would look like in each of them: else an empty search would find nothing.
    for word in (
        "a bug of ours",
        "Traceback",
        "asked the store: {}",
        "AWS_SHARED_CREDENTIALS_FILE",
        "/proc/1/environ",
        "gozen_leader",
        '"kind": "Event"',
        '"terminated": {',
        "kubelet",
    ):
        assert word in said, word
