"""Two simulated nodes on an API server: each reports the pod states that a test requests.

A lost node reports nothing; this module then does what Kubernetes' controllers would do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from .api_server import ApiServer

NODES = ("dawn-a", "dawn-b")
USER = "hub.jupyter.org/username"
CPUS, MEMORY = "4", "8Gi"
Manifest = dict[str, Any]


def runs(image: str) -> Manifest:
    """Return the status of a lab that runs; the tests serve it on the loopback."""
    container = {"ready": True, "state": {"running": {}}, "image": image, "imageID": "i"}
    conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "ContainersReady", "Ready")]
    address = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    return _status("Running", container, conditions) | address


def lacks_its_image(image: str) -> Manifest:
    """Return the status of a pod whose image does not exist."""
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    container = {"ready": False, "state": {"waiting": waiting}, "image": image, "imageID": ""}
    return _status("Pending", container, [{"type": "Ready", "status": "False"}])


def _status(phase: str, container: Manifest, conditions: list[Manifest]) -> Manifest:
    return {
        "phase": phase,
        "containerStatuses": [{"name": "notebook", "restartCount": 0, **container}],
        "conditions": conditions,
    }


class Kubelets:
    """The kubelets of the two nodes.

    Parameters
    ----------
    says
        Returns the status of the pod of a user with an image.
    """

    def __init__(self, server: ApiServer, says: Callable[[str], Callable[[str], Manifest]]) -> None:
        self.api = client.CoreV1Api(config.new_client_from_config(str(server.kubeconfig)))
        self._says = says
        self._alive = set(NODES)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Make the nodes, and begin to act."""
        for name in NODES:
            self.api.create_node({"metadata": {"name": name}})
            size = {"cpu": CPUS, "memory": MEMORY, "pods": "20"}
            ready = {"type": "Ready", "status": "True"}
            status = {"capacity": size, "allocatable": size, "conditions": [ready]}
            self.api.patch_node_status(name, {"status": status})
            # The API server itself marks each new node; a controller takes the mark away.
            self.api.patch_node(name, {"spec": {"taints": None}})
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the nodes."""
        self._over.set()
        self._thread.join()
        for name in NODES:
            self.api.delete_node(name)

    def lose(self, name: str) -> None:
        """Let a node be silent from now on, and let Kubernetes notice it."""
        self._alive.discard(name)
        taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
        self.api.patch_node(name, {"spec": {"taints": [taint]}})
        for pod in self._pods(name):
            ready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
            self.api.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, ready)

    def _run(self) -> None:
        while not self._over.wait(0.2):
            for name in tuple(self._alive):
                for pod in self._pods(name):
                    with suppress(ApiException):  # it has gone meanwhile
                        self._tend(pod)

    def _pods(self, name: str) -> list[Any]:
        return list(self.api.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={name}").items)

    def _tend(self, pod: Any) -> None:
        meta = pod.metadata
        if meta.deletion_timestamp:
            self.api.delete_namespaced_pod(meta.name, meta.namespace, grace_period_seconds=0)
        elif not pod.status.container_statuses:
            status = self._says(meta.annotations[USER])(pod.spec.containers[0].image)
            self.api.patch_namespaced_pod_status(meta.name, meta.namespace, {"status": status})


@contextmanager
def kubelets(server: ApiServer, says: Callable[[str], Callable[[str], Manifest]]) -> Iterator[Kubelets]:
    """Run the kubelets of two nodes."""
    found = Kubelets(server, says)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def make_home(api: client.CoreV1Api, namespace: str) -> None:
    """Make the home of a user with its volume, both already joined: nothing here would do it later."""
    name, size = f"home-of-{namespace}", {"storage": "1Gi"}
    modes = ["ReadWriteOnce"]
    claim = {
        "metadata": {"name": "home", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"accessModes": modes, "resources": {"requests": size}, "storageClassName": "", "volumeName": name},
    }
    made = api.create_namespaced_persistent_volume_claim(namespace, claim)
    api.patch_namespaced_persistent_volume_claim_status("home", namespace, {"status": {"phase": "Bound"}})
    reference = {"namespace": namespace, "name": "home", "uid": made.metadata.uid}
    volume = {
        "metadata": {"name": name},
        "spec": {"capacity": size, "accessModes": modes, "hostPath": {"path": "/homes"}, "claimRef": reference},
    }
    api.create_persistent_volume(volume)
    api.patch_persistent_volume_status(name, {"status": {"phase": "Bound"}})
