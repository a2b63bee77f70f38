"""`gozen-observer` with a real API server, as a process with the simulated observatory.

Covered: the output of `kubectl` for an Observation that is executed; the observer needs exactly its rights; kills at
any time; two processes at once; SIGTERM; an API server that refuses a late claim or status. Not covered: operator and
pods.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from gozen.archive.stores.open_store import open_store
from gozen.errors import ClusterUnavailable
from gozen.resources.observation import Claim
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.crds import KINDS, NOT_OVER, definition
from gozen_operator.observer.cluster_requests import KubernetesCluster

from ..observing_world import observation
from .access import Cluster
from .api_server import ApiServer

pytestmark = pytest.mark.xdist_group("api")

CAMERA = Path(__file__).parents[1] / "services" / "small_camera.yaml"
OBSERVER = Path(sys.executable).parent / "gozen-observer"
NAMESPACE = "observing"
WHERE = {"group": "gozen.astro", "version": "v1alpha1", "namespace": NAMESPACE}
STEPS = (
    {"setParameter": {"nframe": 4, "tintegSec": 0.5}},
    {"wait": ["domeslit_open"]},
    {"pointing": {"ra": 19.75, "dec": 29.71}},
    {"exposure": "J0118+2942_dith1"},
    {"dithering": [0, 300]},
    {"exposure": "J0118+2942_dith2"},
)
RIGHTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: observer }
rules:
  - { apiGroups: [gozen.astro], resources: [observations], verbs: [get, list] }
  - { apiGroups: [gozen.astro], resources: [observations/status], verbs: [patch] }
  - { apiGroups: [gozen.astro], resources: [exposures], verbs: [get, create] }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: observer }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: observer }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: observer }
subjects: [{ kind: ServiceAccount, name: observer }]
"""


class Site:
    """A namespace with an archive and as many observers as a test starts."""

    def __init__(self, cluster: Cluster, kubeconfig: Path, folder: Path) -> None:
        self.cluster, self.kubeconfig, self.folder = cluster, kubeconfig, folder
        self.store = open_store(folder / "archive")
        self._api = client.CustomObjectsApi(config.new_client_from_config(str(cluster.kubeconfig)))
        self._started: list[subprocess.Popen[bytes]] = []

    def apply(self, name: str, *steps: dict[str, Any], **spec: Any) -> None:
        """Apply an Observation, and say for the operator that it is accepted."""
        wire = observation(*(steps or STEPS), name=name, **spec).wire()
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(wire))
        said = {"type": "Accepted", "status": "True", "reason": "Valid", "message": ""}
        said["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        patch = json.dumps({"status": {"conditions": [said]}})
        self.kubectl("patch", "obs", name, "--subresource=status", "--type=merge", "-p", patch)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace and return what it says."""
        return self.cluster.kubectl("--namespace", NAMESPACE, *words, stdin=stdin, check=True).stdout

    def start(self, *words: str, speed_up: float = 50) -> subprocess.Popen[bytes]:
        """Start an observer."""
        environment = {
            **os.environ,
            "GOZEN_INSTRUMENT": str(CAMERA),
            "GOZEN_OBSERVATORY__SPEED_UP": str(speed_up),
            "GOZEN_OBSERVER__INTERVAL_S": "0.2",
            "GOZEN_OBSERVER__ATTEMPTS": "99",
            "GOZEN_OBSERVER__GRACE_S": "60",  # the simulated camera shares two cores with other tests
        }
        log = (self.folder / f"observer-{len(self._started)}.log").open("wb")
        options = ["--namespace", NAMESPACE, "--kubeconfig", str(self.kubeconfig), "--archive", self.folder / "archive"]
        process = subprocess.Popen([OBSERVER, *options, *words], env=environment, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def executed(self, name: str) -> dict[str, Any]:
        """Return the condition that the observer writes; empty before."""
        found = self._api.get_namespaced_custom_object(**WHERE, plural="observations", name=name)
        conditions = found.get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == "Executed"), {})

    def exposures(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the Exposures of an Observation, by name."""
        label = f"gozen.astro/observation={name}"
        items = self._api.list_namespaced_custom_object(**WHERE, plural="exposures", label_selector=label)["items"]
        return {item["metadata"]["name"]: item for item in items}

    def wait(self, until: Callable[[], object], seconds: float = 180) -> None:
        """Return when something holds; fail with the observers' logs when it does not."""
        ends = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < ends, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        """Return what all observers said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def rights(api_server: ApiServer) -> Path:
    """Install resources and rights, and return the kubeconfig of the observer's service account."""
    crds = "---\n".join(yaml.safe_dump(definition(kind)) for kind in KINDS)
    api_server.kubectl("apply", "--server-side", "-f", "-", stdin=crds, check=True)
    api_server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s", check=True)
    api_server.kubectl("create", "namespace", NAMESPACE, check=True)
    api_server.kubectl("apply", "--namespace", NAMESPACE, "-f", "-", stdin=RIGHTS, check=True)
    return api_server.kubeconfig_of_service_account(NAMESPACE, "observer")


@pytest.fixture
def site(api_server: ApiServer, rights: Path, tmp_path: Path) -> Iterator[Site]:
    """Return a site with an empty archive; what a test applied is deleted after it."""
    made = Site(api_server, rights, tmp_path)
    yield made
    made.stop()
    made.kubectl("delete", "obs,exp", "--all")


def complete(site: Site, name: str) -> None:
    """Check that an Observation has its Exposures, each with one raw record of its own that is complete."""
    exposures = site.exposures(name)
    assert set(exposures) == {f"{name}-004", f"{name}-006"}, site.logs()
    (owner,) = {one["metadata"]["ownerReferences"][0]["uid"] for one in exposures.values()}
    assert owner == json.loads(site.kubectl("get", "obs", name, "-o", "json"))["metadata"]["uid"]
    numbers = [one["spec"]["exposureId"] for one in exposures.values()]
    assert len(set(numbers)) == 2
    for one in exposures.values():
        exposure = f"{one['spec']['exposureId']:08d}"
        record = json.loads(site.store.read(f"raw/{one['spec']['night']}/{exposure}/exposure.json"))
        assert set(record["sensors"]) == {"111", "112"}
        assert record["object"] == one["spec"]["object"]
        assert json.loads(site.store.read(f"expid/closed/{exposure}.json"))["result"] == "taken"
    taken = [key for key in site.store.list("expid/closed") if b'"taken"' in site.store.read(key)]
    assert len(taken) == 2


def test_an_observation_is_executed_with_the_rights_that_the_observer_has(site: Site) -> None:
    site.apply("plain")
    process = site.start()
    site.kubectl("wait", "--for=condition=Executed", "obs/plain", "--timeout=90s")
    complete(site, "plain")
    site.wait(lambda: site.kubectl("get", "obs", "--field-selector", NOT_OVER, "-o", "name") == "")
    said = site.executed("plain")
    assert (said["reason"], said["message"]) == ("Executed", "6 steps, 2 exposures")
    whole = json.loads(site.kubectl("get", "obs", "plain", "-o", "json", "--show-managed-fields"))
    assert "claim" not in whole["status"]
    assert {one["manager"] for one in whole["metadata"]["managedFields"]} >= {"gozen-observer"}
    assert "Accepted" in {one["type"] for one in whole["status"]["conditions"]}, "the operator's word is left alone"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "has ended" in site.logs()


def test_killed_again_and_again_it_exposes_nothing_twice_and_forgets_nothing(site: Site) -> None:
    site.apply("killed")
    for trace in ("expid/by-name", "expid/opened", "raw", "expid/closed"):
        before = len(site.store.list(trace))
        process = site.start(speed_up=5)
        site.wait(lambda trace=trace, before=before: len(site.store.list(trace)) > before)
        process.kill()
        process.wait()
    site.start()
    site.wait(lambda: site.executed("killed").get("status") == "True")
    complete(site, "killed")


@pytest.mark.parametrize("names", [("one", "two"), ("same", "same")])
def test_two_observers_at_once_make_everything_once(site: Site, names: tuple[str, str]) -> None:
    for name in ("first", "second"):
        site.apply(name)
    for name in names:
        site.start("--name", name)
    site.wait(lambda: all(site.executed(name).get("status") == "True" for name in ("first", "second")))
    for name in ("first", "second"):
        assert len(site.exposures(name)) == 2
    numbers = [one["spec"]["exposureId"] for name in ("first", "second") for one in site.exposures(name).values()]
    assert len(set(numbers)) == 4


def test_sigterm_finishes_what_is_short_and_the_next_process_goes_on(site: Site) -> None:
    site.apply("ended")
    process = site.start(speed_up=3)
    site.wait(lambda: site.store.list("expid/opened"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    assert set(site.exposures("ended")) == {"ended-004"}
    assert site.executed("ended")["reason"] == "Interrupted"
    site.start()
    site.wait(lambda: site.executed("ended").get("status") == "True")
    complete(site, "ended")


def test_deleted_in_the_middle_nothing_more_is_created(site: Site) -> None:
    site.apply("deleted", *STEPS[:1], {"setParameter": {"nframe": 2000}}, *STEPS[2:])
    site.start(speed_up=3)
    site.wait(lambda: site.store.list("expid/opened"))
    site.kubectl("delete", "obs", "deleted")
    site.wait(lambda: "stops its work on the Observation: the Observation was deleted" in site.logs())
    assert site.exposures("deleted") == {}
    assert not [key for key in site.store.list("raw") if key.endswith("exposure.json")]


def test_an_error_is_on_the_observation(site: Site) -> None:
    site.apply("failing", {"setFocus": 28.1}, *STEPS)
    os.environ["GOZEN_OBSERVATORY__FAULTS"] = '["focuser.move"]'
    try:
        site.start()
    finally:
        del os.environ["GOZEN_OBSERVATORY__FAULTS"]
    site.wait(lambda: site.executed("failing").get("status") == "False")
    said = site.executed("failing")
    assert said["reason"] == "StepFailed"
    assert said["message"].startswith("step 1 of 7 (setFocus 28.1): DeviceFailed: focuser.move failed")


def test_those_that_are_over_are_not_listed_also_those_of_before_the_mark(site: Site) -> None:
    site.apply("waits")
    site.apply("refused")
    said = {"type": "Complete", "status": "True", "reason": "UnknownSensor", "message": ""}
    said["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    patch = json.dumps({"status": {"conditions": [said]}})
    site.kubectl("patch", "obs", "refused", "--subresource=status", "--type=merge", "-p", patch)
    cluster = KubernetesCluster(ApiConnection(config.new_client_from_config(str(site.kubeconfig))), NAMESPACE)
    known = {one.metadata.name: one for one in cluster.observations()}
    assert set(known) == {"waits", "refused"}, "without the mark they are seen"
    assert cluster.retire(known["refused"]).status.over
    assert [one.metadata.name for one in cluster.observations()] == ["waits"]
    assert cluster.retire(known["refused"]) is None, "it was read before the mark"


def test_the_api_server_refuses_what_comes_late(site: Site) -> None:
    site.apply("late")
    cluster = KubernetesCluster(ApiConnection(config.new_client_from_config(str(site.kubeconfig))), NAMESPACE)
    seen = cluster.observation("late")
    assert seen is not None
    now = datetime.now(UTC)
    mine, yours = (Claim(holder=name, session=f"{name}-1", renewed=now) for name in ("mine", "yours"))
    claimed = cluster.claim(seen, mine)
    assert claimed is not None
    assert claimed.status.claim == mine
    assert cluster.claim(seen, yours) is None
    said = {"type": "Executed", "status": "Unknown", "reason": "Executing", "message": "claimed"}
    said["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    assert cluster.say(seen, said) is None, "it was read before the claim"
    after = cluster.say(claimed, said)
    assert after is not None
    assert {one.type for one in after.status.conditions} == {"Accepted", "Executed"}
    assert cluster.claim(after, None).status.claim is None
    site.kubectl("delete", "obs", "late")
    assert cluster.observation("late") is None
    assert cluster.say(after, said) is None
    assert cluster.claim(after, mine) is None
    site.apply("late")
    assert cluster.say(after, said) is None, "another one of its name"


def test_without_rights_it_says_which(site: Site) -> None:
    elsewhere = config.new_client_from_config(str(site.kubeconfig))
    with pytest.raises(ClusterUnavailable, match=r"list Observations: the API server says 403.*give the observer"):
        KubernetesCluster(ApiConnection(elsewhere), "default").observations()
    nowhere = ApiConnection(client.ApiClient(client.Configuration(host="https://127.0.0.1:1")))
    with pytest.raises(ClusterUnavailable, match=r"the API server does not answer"):
        KubernetesCluster(nowhere, "default").observations()
