"""The node that the tests start runs pods as any Kubernetes does.

Covered: a pod with the `restricted` Pod Security level; from it names, Services, the API server and a server of this
computer; its log and a command in it; an Indexed Job that depends on exit codes; cleaning up after a stop, a failed
start and a killed run. Not covered: Gozen's own images and chart.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import machine
from . import node as node_module
from .base_images import base_image
from .machine import Machine, Slot, controllers, take_slot
from .node import Node
from .processes import StartError, wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node")]

RESTRICTED = """
      securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: RuntimeDefault } }
      containers:
        - name: main
          image: localhost/gozen/base:1
          command: [python3, -c]
          securityContext:
            { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
"""
# Index 0 succeeds, 1 has bad input, which no repetition mends, and 2 lacks its storage, which a second try may mend.
JOB = f"""
apiVersion: batch/v1
kind: Job
metadata: {{ name: sensors }}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  backoffLimitPerIndex: 1
  podFailurePolicy:
    rules:
      - {{ action: FailIndex, onExitCodes: {{ containerName: main, operator: In, values: [64] }} }}
  template:
    spec:
      restartPolicy: Never
{RESTRICTED}
          args: ["import os, sys; sys.exit([0, 64, 75][int(os.environ['JOB_COMPLETION_INDEX'])])"]
"""
LOOKS = """
import json, socket, ssl, time, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
request = urllib.request.Request(
    "https://kubernetes.default/api", headers={"Authorization": f"Bearer {open(f'{folder}/token').read()}"}
)
print("name", socket.gethostbyname("kubernetes.default"))
print("api", json.load(urllib.request.urlopen(request, timeout=20, context=context))["kind"])
print("host", urllib.request.urlopen("http://HOST/", timeout=20).read().decode())
for attempt in range(200):  # kube-proxy hears of the pod only after the API server says that it is ready
    try:
        print("service", urllib.request.urlopen("http://greeter/", timeout=20).read().decode())
        break
    except OSError:
        time.sleep(0.1)
"""
GREETS = """
import http.server
class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from a pod")
http.server.HTTPServer(("", 8080), Greeter).serve_forever()
"""


def pod(name: str, script: str, *, ready: bool = False) -> str:
    """Return the manifest of a pod that runs a Python script, and is ready when it listens on 8080."""
    probe = "          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }\n" if ready else ""
    body = RESTRICTED.replace("\n    ", "\n")
    return f"""
apiVersion: v1
kind: Pod
metadata: {{ name: {name}, labels: {{ app: {name} }} }}
spec:
  restartPolicy: Never
{body}      args: [{json.dumps(script)}]
{probe.replace("          ", "      ")}"""


def test_all_tests_of_a_cluster_are_in_one_process(request: pytest.FixtureRequest) -> None:
    # Else each of them starts a cluster: pytest-xdist says nothing when it does not find its groups.
    assert "PYTEST_XDIST_WORKER" not in os.environ or request.node.nodeid.endswith("@node")


@pytest.fixture(scope="module")
def namespace(node: Node) -> str:
    """Return a namespace that takes only pods of the `restricted` level."""
    node.load_image(base_image())
    node.kubectl("create", "namespace", "night", check=True)
    node.kubectl("label", "namespace", "night", "pod-security.kubernetes.io/enforce=restricted", check=True)
    return "night"


@pytest.fixture
def server(node: Node) -> Iterator[str]:
    """Return the address of a server of this computer that pods can reach."""

    class Greeter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello from the host")

    with http.server.HTTPServer((node.host_address, 0), Greeter) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"{node.host_address}:{running.server_port}"
        running.shutdown()


def test_a_restricted_pod_reaches_names_services_the_api_and_the_host(node: Node, namespace: str, server: str) -> None:
    inside = ("--namespace", namespace)
    node.kubectl("apply", *inside, "-f", "-", stdin=pod("greeter", GREETS, ready=True), check=True)
    node.kubectl("expose", "pod", "greeter", *inside, "--port=80", "--target-port=8080", check=True)
    node.kubectl("wait", *inside, "--for=condition=Ready", "pod/greeter", "--timeout=50s", check=True)
    node.kubectl("apply", *inside, "-f", "-", stdin=pod("looks", LOOKS.replace("HOST", server)), check=True)
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    node.kubectl("wait", *inside, ended, "pod/looks", "--timeout=50s", check=True)
    said = node.kubectl("logs", *inside, "looks", check=True).stdout
    assert said.splitlines() == [
        "name 10.96.0.1",
        "api APIVersions",
        "host hello from the host",
        "service hello from a pod",
    ]
    who = node.kubectl("exec", *inside, "greeter", "--", "id", "--user", check=True).stdout
    assert who == "1000\n"


def test_a_pod_that_asks_for_more_is_refused(node: Node, namespace: str) -> None:
    said = node.kubectl("run", "greedy", "--namespace", namespace, "--image=localhost/gozen/base:1", "--privileged")
    assert said.returncode == 1
    assert 'violates PodSecurity "restricted:latest": privileged' in said.stderr


def test_exit_codes_decide_which_index_is_tried_again(node: Node, namespace: str) -> None:
    inside = ("--namespace", namespace)
    node.kubectl("apply", *inside, "-f", "-", stdin=JOB, check=True)
    node.kubectl("wait", *inside, "--for=condition=Failed", "job/sensors", "--timeout=80s", seconds=90, check=True)
    status = json.loads(node.kubectl("get", *inside, "job", "sensors", "--output=json", check=True).stdout)["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0", "1,2")
    pods = json.loads(node.kubectl("get", *inside, "pods", "--selector=job-name=sensors", "--output=json").stdout)
    indexes = [each["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for each in pods["items"]]
    assert sorted(indexes) == ["0", "1", "2", "2"]


def traces(slot: Slot) -> list[str]:
    """Return what is left of a machine on this computer."""
    left = [Path("/sys/class/net") / slot.name, *(controller / slot.name for controller in controllers())]
    return [str(path) for path in left if path.exists()]


def test_a_machine_that_is_stopped_leaves_nothing(root: None, tmp_path: Path) -> None:
    made = Machine(tmp_path)
    machine.run(made.command(["sh", "-c", f"sleep 600 >{tmp_path}/open 2>&1 & mount -t tmpfs tmpfs /var/lib/kubelet"]))
    assert len(traces(made.slot)) > 1
    assert users_of(tmp_path / "open") == 1
    made.stop()
    assert traces(made.slot) == []
    assert users_of(tmp_path / "open") == 0


def users_of(path: Path) -> int:
    """Return how many processes hold a file open."""
    return len(list(filter(lambda link: _target(link) == str(path), Path("/proc").glob("[0-9]*/fd/1"))))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def test_a_machine_that_cannot_start_leaves_nothing(
    root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "inner_commands", lambda _: [["mount", "/no/such/folder"]])
    slot, lock = take_slot()
    lock.close()
    with pytest.raises(StartError, match="/no/such/folder"):
        Machine(tmp_path)
    assert traces(slot) == []


def test_a_node_that_cannot_start_says_why_and_leaves_nothing(
    root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "etcd_flags", lambda *_: ["--no-such-flag"])
    slot, lock = take_slot()
    lock.close()
    with pytest.raises(StartError, match=r"etcd ended with code 2\n.*\n(.*\n)*.*no-such-flag"):
        Node(tmp_path)
    assert traces(slot) == []


KILLED = """
import sys
from pathlib import Path
from tests.cluster.machine import Machine
made = Machine(Path(sys.argv[1]))
print(made.slot.number, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_run_left_goes_at_the_next_start(root: None, tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    slot = Slot(int(killed.stdout.readline()))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=20)
    assert traces(slot) != []
    taken, lock = take_slot()
    lock.close()
    assert taken.number <= slot.number
    wait_until(lambda: traces(slot) == [], "an empty computer", 10)
