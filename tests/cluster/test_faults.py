"""Exposures with faults on a real node: each is completed once, as without the fault, and its status names the fault.

Covered: data that a gate rejects, a worker killed for its memory, a pod evicted, a pod deleted by hand, S3 busy for
half a minute, disconnected during writes and full, etcd, API server and kubelet killed, the node lost for a minute; the
operator is killed repeatedly during each of these. Not covered: random faults of S3 (tests/services), policies.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import helm_python as helm
import numpy as np
import pyarrow as pa
import pytest
import yaml
from astropy.io import fits
from tests.services.conftest import RECIPE
from tests.services.fault_proxy import Fault, FaultProxy, quiet
from tests.services.s3_server import KEY, SECRET, S3Server, s3_server

from gozen.archive import keys
from gozen.archive.keys import Processing
from gozen.archive.small_parquet import read_parquet
from gozen.archive.stores.open_store import Store, open_store
from gozen.settings import StorageSettings
from gozen.simulator.camera.damaged_files import truncated

from .custom_resources import adopt
from .machine import controllers
from .node import Node
from .own_images import load_own_images
from .processes import Process, wait_until
from .small_observatory import camera
from .test_story import CREDENTIALS, ROOT, made, values

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(1800)]
NIGHT, GOOD, BAD = "20260115", "00000003", "00000004"
NAMESPACE = "faults"
PATIENT_S = 300
OUTAGE_S = 30
GONE_S = 60


@dataclass
class Trouble:
    """A namespace with raw data on S3 behind a proxy, and an operator outside that may be killed.

    Parameters
    ----------
    environment
        What the operator is told.
    """

    node: Node
    server: S3Server
    proxy: FaultProxy
    environment: dict[str, str]
    folder: Path
    operator: Process | None = None

    def start(self) -> None:
        """Start the operator."""
        program = Path(sys.executable).parent / "gozen-operator"
        self.operator = Process("operator", [program], self.folder / "operator.log", environment=self.environment)

    @property
    def lives(self) -> int:
        """How many operators have begun to act."""
        return (self.folder / "operator.log").read_text().count("this process has the Lease")

    @contextmanager
    def operator_is_killed(self, seed: int) -> Iterator[None]:
        """Kill the operator again and again, at random moments; it is started at once."""
        over, rng = threading.Event(), random.Random(seed)

        def kill() -> None:
            while not over.wait(rng.uniform(0.5, 6)):
                assert self.operator is not None
                self.operator.kill()
                lives = self.lives
                self.start()
                # A life counts from the moment in which it may act.
                while self.lives == lives and not over.wait(0.1):
                    pass

        with ThreadPoolExecutor(1) as thread:
            killer = thread.submit(kill)
            try:
                yield
            finally:
                over.set()
                killer.result()
                # It ends with the thread that started it.
                assert self.operator is not None
                self.operator.kill()
                self.start()

    def kubectl(self, *words: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self.node.kubectl("--namespace", NAMESPACE, *words, **given)

    def get(self, *words: str) -> Any:
        """Return what kubectl gets, as data."""
        return json.loads(self.kubectl("get", *words, "-o", "json", check=True).stdout)

    def expose(self, run: str, exposure: str = GOOD, sensors: tuple[str, ...] = ("111",)) -> None:
        """Ask for one more reduction of the same raw data, as a run of its own."""
        spec = {"object": "field", "instrument": "small", "night": NIGHT, "exposureId": int(exposure), "run": run}
        spec |= {"nframe": 6, "pipelines": ["wcs", "stack"], "sensors": list(sensors)}
        manifest = {"apiVersion": "gozen.astro/v1alpha1", "kind": "Exposure", "metadata": {"name": run}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest), check=True)

    def pod(self, run: str) -> dict[str, Any]:
        """Wait until a pod of an Exposure works, and return it."""
        found: list[dict[str, Any]] = []

        def works() -> bool:
            pods = self.get("pods", f"--selector=gozen.astro/exposure={run}")["items"]
            found[:] = [one for one in pods if one["status"].get("containerStatuses", [{}])[0].get("started")]
            return bool(found)

        self.wait(works, f"a pod of {run} to work")
        return found[0]

    def reason(self, run: str) -> str:
        """Return the word that people read in the column REASON."""
        status = self.get(f"exp/{run}").get("status", {})
        return next((one["reason"] for one in status.get("conditions", []) if one["type"] == "Succeeded"), "")

    def done(self, *runs: str) -> None:
        """Wait until Exposures are complete."""
        for run in runs:
            done = self.kubectl(
                "wait", "--for=condition=Complete", f"exp/{run}", f"--timeout={PATIENT_S}s", seconds=PATIENT_S + 20
            )
            assert done.returncode == 0, self.told(run)

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until something holds; say what people would look at when it does not."""
        try:
            wait_until(ready, what, PATIENT_S)
        except Exception as error:
            error.add_note(self.told("--all"))
            raise

    def told(self, run: str) -> str:
        """Return what a person would look at."""
        parts = [
            self.kubectl("get", "exp,jobs,pods", "-o", "wide").stdout,
            self.kubectl("describe", "exp", run).stdout if run != "--all" else "",
            self.kubectl("logs", "--selector=app.kubernetes.io/component=reduction", "--tail=40").stdout,
            self.operator.tail() if self.operator else "",
        ]
        return "\n\n".join(parts)

    def store(self) -> Store:
        """Open the archive, not by way of the proxy."""
        return open_store("s3://sky/archive", StorageSettings(endpoint_url=self.server.endpoint))

    def rows(self, run: str) -> pa.Table:
        """Return the staged rows of a run, without its name."""
        store = self.store()
        return read_parquet(store.read(keys.staging(Processing(NIGHT, GOOD, run), "111"))).drop_columns(["run"])


def make_a_night(folder: Path, storage: dict[str, str]) -> None:
    """Put raw data and masters into the archive; of the second exposure one sensor is cut off, one all white."""
    (folder / "recipe.yaml").write_text(RECIPE)
    gozen = Path(sys.executable).parent / "gozen"
    for words in (("simulate", "recipe.yaml", "--night", NIGHT, "--sensors", "111,112"), ("masters",)):
        done = subprocess.run([gozen, *words], cwd=folder, env=storage, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    store = open_store(storage["GOZEN_ARCHIVE"], StorageSettings(endpoint_url=storage["GOZEN_STORAGE__ENDPOINT_URL"]))
    for key in store.list(f"raw/{NIGHT}/{BAD}"):
        if key.endswith("11.fits"):
            store.write(key, truncated(store.read(key)))
        elif key.endswith("12.fits"):
            store.write(key, white(store.read(key), folder))


def white(data: bytes, folder: Path) -> bytes:
    """Return a raw file whose pixels are all full."""
    path = folder / "white.fits"
    path.write_bytes(data)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].data = np.full_like(hdus[0].data, 65000 - int(hdus[0].header.get("BZERO", 0)))
    return path.read_bytes()


def told_to_the_operator(node: Node) -> dict[str, str]:
    """Return the settings that the chart gives the operator."""
    known = ("-n", NAMESPACE, "get", "-o", "json")
    settings = json.loads(node.kubectl(*known, "configmap", "gozen-settings", check=True).stdout)["data"]
    deployment = json.loads(node.kubectl(*known, "deployment", "gozen-operator", check=True).stdout)
    given = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return {
        **settings,
        **{one["name"]: one["value"] for one in given if one["name"].startswith("GOZEN_") and "value" in one},
    }


@pytest.fixture(scope="module")
def trouble(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    """Return a place where trouble can be made, with a night of raw data."""
    folder = tmp_path_factory.mktemp("faults")
    images = load_own_images(node)
    made(node, NAMESPACE)
    with ExitStack() as open_things:
        server = open_things.enter_context(s3_server(folder / "s3"))
        proxy = open_things.enter_context(FaultProxy(urlsplit(server.endpoint).port or 0, node.host_address))
        server.bucket("sky")
        profiles = folder / "profiles"
        profiles.mkdir()
        (profiles / "small.yaml").write_text(camera())
        access = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
        access |= {"GOZEN_PROFILES": str(profiles), "GOZEN_INSTRUMENT": "small", "GOZEN_ARCHIVE": "s3://sky/archive"}
        patch = open_things.enter_context(pytest.MonkeyPatch.context())
        for name, value in access.items():
            patch.setenv(name, value)
        make_a_night(folder, {**os.environ, "GOZEN_STORAGE__ENDPOINT_URL": server.endpoint})
        secret = f"--from-literal=credentials={CREDENTIALS}"
        node.kubectl("-n", NAMESPACE, "create", "secret", "generic", "gozen-s3", secret, check=True)
        s3 = {"endpointUrl": proxy.endpoint, "region": "us-east-1", "secretName": "gozen-s3"}
        wanted = values(images, {"url": "s3://sky/archive", "s3": s3})
        wanted["observer"] = {"enabled": False}
        wanted["operator"] = {"settings": {"look_s": 1}}
        wanted["settings"] |= {"storage": {"attempts": 2}}
        wanted["images"] |= {"operator": {"repository": "localhost/none"}}
        config = open_things.enter_context(helm.Config(kubeconfig_path=node.kubeconfig, namespace=NAMESPACE))
        adopt(node, NAMESPACE)
        config.install(ROOT / "charts" / "gozen", "gozen", wanted, namespace=NAMESPACE)
        node.kubectl("-n", NAMESPACE, "scale", "deployment", "--all", "--replicas=0", check=True)
        environment = told_to_the_operator(node)
        environment |= {"KUBECONFIG": str(node.kubeconfig), "GOZEN_OPERATOR_PORT": "0", "GOZEN_PROFILES": str(profiles)}
        found = Trouble(node, server, proxy, {**os.environ, **environment}, folder)
        found.start()
        yield found
        assert found.operator is not None
        found.operator.kill()
        config.uninstall("gozen", ignore_not_found=True)


def test_pods_that_die_are_replaced_and_refused_data_are_a_result(trouble: Trouble) -> None:
    trouble.expose("plain")
    trouble.done("plain")
    with trouble.operator_is_killed(seed=1):
        trouble.expose("refused", BAD, ("111", "112"))
        for run, harm in (("memory", out_of_memory), ("evicted", evict), ("deleted", delete)):
            trouble.expose(run)
            harm(trouble, trouble.pod(run))
        trouble.done("refused", "memory", "evicted", "deleted")
    assert people_read(trouble, "refused") == {"SENSORS": "2", "REDUCED": "0", "REJECTED": "2", "FAILED": "0"}
    outcomes = {one["sensor"]: one["reason"] for one in trouble.get("exp/refused")["status"]["outcomes"]}
    assert outcomes == {"111": "CorruptFile", "112": "SaturatedField"}
    assert "tried again with success (WorkerLost)" in trouble.kubectl("describe", "exp/memory").stdout
    for run in ("memory", "evicted", "deleted"):
        as_if_nothing_had_happened(trouble, run)


def test_a_store_that_is_busy_cut_or_full_is_waited_for(trouble: Trouble) -> None:
    with trouble.operator_is_killed(seed=2):
        trouble.proxy.choose = of_runs({"cut": Fault.HALF, "full": Fault.FULL})
        for run in ("cut", "full"):
            trouble.expose(run)
        for run in ("cut", "full"):
            trouble.wait(lambda run=run: trouble.reason(run) == "Retrying", f"{run} to be tried again")
        assert "Retrying" in trouble.kubectl("get", "exp").stdout
        trouble.proxy.choose = lambda _method, _path: Fault.BUSY
        began = time.monotonic()
        trouble.expose("busy")
        trouble.wait(lambda: trouble.reason("busy") == "StorageUnavailable", "the operator to say that S3 is away")
        wait_until(lambda: time.monotonic() - began > OUTAGE_S, "the end of the outage", OUTAGE_S + 10)
        trouble.proxy.choose = quiet
        trouble.done("cut", "full", "busy")
    for run in ("cut", "full", "busy"):
        as_if_nothing_had_happened(trouble, run)


def test_a_control_plane_and_a_node_that_go_away_come_back_to_the_same(trouble: Trouble) -> None:
    node = trouble.node
    with trouble.operator_is_killed(seed=3):
        trouble.expose("restarted")
        trouble.pod("restarted")
        for name in ("kube-apiserver", "etcd", "kubelet"):
            node.crash(name)
        for name in ("etcd", "kube-apiserver", "kubelet"):
            node.restart(name)
        trouble.wait(lambda: trouble.kubectl("get", "exp").returncode == 0, "the API server to answer again")
        trouble.done("restarted")
        trouble.expose("gone")
        pod = trouble.pod("gone")
        node.crash("kubelet")
        node.crash_container(container_of(pod))
        began = time.monotonic()
        trouble.expose("meanwhile")
        wait_until(lambda: time.monotonic() - began > GONE_S, "the node to be gone for a minute", GONE_S + 10)
        ready = node.kubectl("get", "nodes", "-o=jsonpath={.items[0].status.conditions[?(@.type=='Ready')].status}")
        assert ready.stdout == "Unknown"
        node.restart("kubelet")
        trouble.done("gone", "meanwhile")
    for run in ("restarted", "gone", "meanwhile"):
        as_if_nothing_had_happened(trouble, run)


def test_nothing_was_made_twice_and_nothing_is_left_behind(trouble: Trouble) -> None:
    exposures = {one["metadata"]["name"]: one["status"] for one in trouble.get("exp")["items"]}
    jobs = {one["metadata"]["name"]: one["metadata"]["uid"] for one in trouble.get("jobs")["items"]}
    assert {name: status["job"]["uid"] for name, status in exposures.items()} == jobs
    commits = [key for key in trouble.store().list("exposures") if f"/{GOOD}/" in key]
    assert sorted(key.split("/")[3] for key in commits) == sorted(set(exposures) - {"refused"})
    uploads = trouble.server.client().list_multipart_uploads(Bucket="sky")
    assert not uploads.get("Uploads")


def container_of(pod: dict[str, Any]) -> str:
    """Return the name that containerd has for a pod's container."""
    name: str = pod["status"]["containerStatuses"][0]["containerID"]
    return name.removeprefix("containerd://")


def out_of_memory(_: Trouble, pod: dict[str, Any]) -> None:
    """Leave a pod's container so little memory that the kernel kills it as soon as it asks for more."""
    name = container_of(pod)
    groups = [Path(found) for top in controllers() for found, _, _ in os.walk(top) if found.endswith(name)]
    for group in groups:
        for limit, used in (("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")):
            if (group / limit).exists():
                (group / limit).write_text(str(int((group / used).read_text()) + 2**20))


def evict(trouble: Trouble, pod: dict[str, Any]) -> None:
    """Evict a pod, as who drains a node does."""
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    trouble.node.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), check=True)


def delete(trouble: Trouble, pod: dict[str, Any]) -> None:
    """Delete a pod, as people do."""
    trouble.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false", check=True)


def of_runs(faults: dict[str, Fault]) -> Callable[[str, str], Fault]:
    """Let what runs write meet a fault each."""

    def choose(method: str, path: str) -> Fault:
        run = next((name for name in faults if f"/{name}/" in path), None)
        return faults[run] if run and method in ("PUT", "POST") else Fault.NONE

    return choose


def people_read(trouble: Trouble, run: str) -> dict[str, str]:
    """Return the counts that `kubectl get exp` shows."""
    header, *rows = trouble.kubectl("get", "exp", check=True).stdout.splitlines()
    row = next(one for one in rows if one.split()[0] == run)
    return {word: row[header.index(word) :].split()[0] for word in ("SENSORS", "REDUCED", "REJECTED", "FAILED")}


def as_if_nothing_had_happened(trouble: Trouble, run: str) -> None:
    """Assert that a run has ended as the one that met no trouble."""
    assert people_read(trouble, run) == {"SENSORS": "1", "REDUCED": "1", "REJECTED": "0", "FAILED": "0"}
    assert trouble.reason(run) == "Reduced"
    assert trouble.rows(run).equals(trouble.rows("plain"))
