"""A complete Kubernetes node in a separate machine: the programs that it starts, their order, and when it is ready."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.suite.costs import measured

from .access import ADMIN, Cluster, User, token_file
from .api_server import FIRST_SERVICE, SERVER_NAMES, etcd_flags, is_ready, server_flags
from .base_images import coredns_image, pause_image
from .certificates import Authority
from .images import description, image_id, store
from .machine import STATE, Machine, run
from .names import manifests
from .network import (
    FELIX_PORT,
    cluster_information,
    cni_conflist,
    custom_resources,
    felix_environment,
    masquerade,
    plugins_folder,
)
from .node_files import CONTAINERD_SOCKET, containerd_config, kubelet_config, proxy_config
from .node_images import archive_without_layers, layers_in, link_layers
from .processes import Process, wait_until
from .tools import ToolMissingError, installed, tool

NAME = "gozen"
PORT = 6443
SECONDS_TO_START = 120
CNI_PROGRAMS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
MANAGER, SCHEDULER, PROXY, NETWORK = (
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "calico",
)
KUBELET = f"system:node:{NAME}"


def users() -> tuple[User, ...]:
    """Return the administrator and the programs of the cluster, which know each other by tokens."""
    programs = tuple(User(name) for name in (MANAGER, SCHEDULER, PROXY))
    return (
        *(User(name, ("system:masters",)) for name in (ADMIN, NETWORK)),
        *(User(KUBELET, ("system:nodes",)), *programs),
    )


class Node(Cluster):
    """A node that is Ready, with names, Services and policies; see `Cluster` for what to do with it.

    Parameters
    ----------
    folder
        Keeps logs and kubeconfig files.

    Attributes
    ----------
    machine
        What its programs run in.
    host_address
        Address at which pods reach servers of this computer that listen there or on all addresses.

    Raises
    ------
    ToolMissingError
        Where a program is missing.
    StartError
        Where one does not start in time; everything that was started is stopped again.
    """

    def __init__(self, folder: Path) -> None:
        programs = programs_of_a_node()
        self._network = cni_programs()
        self._folder = folder
        self._processes: dict[str, Process] = {}
        self._restarts: dict[str, Callable[[], None]] = {}
        self._images: dict[str, str] = {}
        self.machine = Machine(folder)
        try:
            self.host_address = self.machine.slot.host_address
            self.address = self.machine.slot.address
            authority = Authority(folder / "certificates")
            super().__init__(f"https://{self.address}:{PORT}", authority.certificate, folder, users())
            self._kubeconfigs = {user.name: self.kubeconfig_for(user.name, user.token) for user in self.users.values()}
            self._start_control_plane(programs, authority)
            self._start_node(programs)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every process and pod, and remove what they wrote but the logs."""
        self.machine.stop()
        for process in self._processes.values():
            process.kill()

    def wait(self) -> None:
        """Return never, but with a StartError when a program of the node ends."""
        wait_until(lambda: False, "the end of the cluster", float("inf"), self._processes.values())

    def crash(self, name: str) -> None:
        """Kill a program of the node."""
        self._processes.pop(name).kill()

    def restart(self, name: str) -> None:
        """Start a program that has crashed, as it was started before; a kubelet would end without containerd."""
        self._restarts[name]()
        if name == "containerd":
            self._wait("containerd", "containerd", self._containerd_answers)

    def crash_container(self, name: str) -> None:
        """Kill all processes of a container, named as containerd does."""
        run(self.machine.command([*containerd_client(), "tasks", "kill", "--all", "--signal=SIGKILL", name]))

    def load_image(self, tag: str, names: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Give the node an image of `images.build_image`; pods name it by its tag and do not pull it.

        Parameters
        ----------
        names
            Tags that it gets instead of its own, with what changes in its configuration under each.
        """
        image = image_id(tag)
        if self._images.get(tag) == image:
            return
        with measured("build", "image on the node"), TemporaryDirectory(dir=self._folder) as folder:
            self.machine.uses(image)
            layers, whole = layers_in(store(), image), description(tag)
            link_layers(self.machine, containerd_client(), layers)
            named = {
                name: {**whole, "config": {**whole["config"], **changes}}
                for name, changes in (names or {tag: {}}).items()
            }
            archive = Path(folder) / "image.tar"
            archive.write_bytes(archive_without_layers(layers, named))
            run(self.machine.command([*containerd_client(), "images", "import", archive]))
        self._images[tag] = image

    def _start_control_plane(self, programs: Mapping[str, str | Path], authority: Authority) -> None:
        folder = self._folder
        tokens = folder / "tokens.csv"
        tokens.write_text(token_file(list(self.users.values())))
        service_accounts = authority.signing_key("service-accounts")
        certificate = authority.server("kube-apiserver", [self.address, "127.0.0.1", FIRST_SERVICE], SERVER_NAMES)
        to_kubelet = authority.client("kube-apiserver-to-kubelet", "system:masters")
        self._start("etcd", programs, etcd_flags(STATE / "etcd", 2379, 2380))
        self._start(
            "kube-apiserver",
            programs,
            [
                *server_flags(2379, "0.0.0.0", PORT, certificate, service_accounts, tokens),
                f"--advertise-address={self.address}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged",
                "--kubelet-preferred-address-types=InternalIP",
                f"--kubelet-client-certificate={to_kubelet[0]}",
                f"--kubelet-client-key={to_kubelet[1]}",
            ],
        )
        self._start_containerd(programs)
        self._wait("the API server", "kube-apiserver", lambda: is_ready(self))
        self._start(
            "kube-controller-manager",
            programs,
            [
                f"--kubeconfig={self._kubeconfigs[MANAGER]}",
                f"--service-account-private-key-file={service_accounts}",
                f"--root-ca-file={self.authority}",
                "--use-service-account-credentials",
                "--leader-elect=false",
            ],
        )
        self._start(
            "kube-scheduler", programs, [f"--kubeconfig={self._kubeconfigs[SCHEDULER]}", "--leader-elect=false"]
        )

    def _start_containerd(self, programs: Mapping[str, str | Path]) -> None:
        network = self._folder / "cni"
        network.mkdir()
        log = self._folder / "logs" / "cni.log"
        (network / "10-gozen.conflist").write_text(cni_conflist(NAME, self._kubeconfigs[NETWORK], log))
        plugins = plugins_folder(self._folder / "cni-programs", self._network, Path(programs["calico"]))
        config = self._write("containerd.toml", containerd_config(network, plugins))
        self._start("containerd", programs, [f"--config={config}"])

    def _start_node(self, programs: Mapping[str, str | Path]) -> None:
        resolv_conf = self._write("resolv.conf", "")
        config = kubelet_config(self.authority, f"/{self.machine.slot.name}", resolv_conf)
        self.kubectl("create", "-f", "-", stdin=custom_resources(), check=True)
        run(self.machine.command(["nft", "-f", "-"]), stdin=masquerade())
        self._wait("containerd", "containerd", self._containerd_answers)
        for image in (pause_image(), coredns_image()):
            self.load_image(image)
        self._start(
            "kubelet",
            programs,
            [
                f"--config={self._write('kubelet.yaml', config)}",
                f"--kubeconfig={self._kubeconfigs[KUBELET]}",
                f"--hostname-override={NAME}",
                f"--node-ip={self.address}",
            ],
        )
        proxy = self._write("kube-proxy.yaml", proxy_config(self._kubeconfigs[PROXY]))
        self._start("kube-proxy", programs, [f"--config={proxy}", f"--hostname-override={NAME}"])
        self._wait("Calico's custom resources", "kube-apiserver", self._takes_cluster_information)
        felix = felix_environment(NAME, self.address, self._kubeconfigs[NETWORK])
        self._start("calico-felix", programs, ["--config-file=/dev/null"], {**os.environ, **felix})
        self.kubectl("create", "-f", "-", stdin=manifests(), check=True)
        self._wait("Felix", "calico-felix", self._felix_is_ready)
        self._wait("the node to be Ready", "kubelet", self._node_is_ready)
        self._wait("the service account of pods", "kube-controller-manager", self._has_service_account)
        self._wait("names", "kubelet", self._names_answer)

    def _takes_cluster_information(self) -> bool:
        return self.kubectl("apply", "-f", "-", stdin=cluster_information()).returncode == 0

    def _containerd_answers(self) -> bool:
        command = self.machine.command([*containerd_client(), "plugins", "list"])
        said = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return said.returncode == 0 and any(
            line.split()[1:2] == ["cri"] and line.split()[-1] == "ok" for line in said.stdout.splitlines()
        )

    def _felix_is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}:{FELIX_PORT}/readiness", timeout=5) as answer:
                return bool(answer.status < 300)
        except (urllib.error.URLError, OSError):
            return False

    def _names_answer(self) -> bool:
        said = self.kubectl("-n", "kube-system", "get", "deployment", "coredns", "-o=jsonpath={.status.readyReplicas}")
        return said.stdout == "1"

    def _node_is_ready(self) -> bool:
        said = self.kubectl("get", "node", NAME, "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}")
        return said.stdout == "True"

    def _has_service_account(self) -> bool:
        return self.kubectl("get", "serviceaccount", "default").returncode == 0

    def _start(
        self,
        name: str,
        programs: Mapping[str, str | Path],
        flags: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        def start() -> None:
            log = self._folder / "logs" / f"{name}.log"
            within = self.machine.within
            self._processes[name] = Process(name, [programs[name], *flags], log, within, environment)

        self._restarts[name] = start
        start()

    def _wait(self, what: str, culprit: str, ready: Callable[[], bool]) -> None:
        rest = [process for name, process in self._processes.items() if name != culprit]
        wait_until(ready, what, SECONDS_TO_START, [self._processes[culprit], *rest])

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        return path


def programs_of_a_node() -> dict[str, str | Path]:
    """Return where the programs of a node are, built where they are missing.

    Raises
    ------
    ToolMissingError
        Where one is neither here nor can be built.
    """
    built = (
        *("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
        *("kubelet", "kube-proxy", "kubectl", "coredns", "pause", "calico", "calico-felix"),
    )
    packages = {
        "etcd": "etcd-server",
        "containerd": "containerd",
        "runc": "runc",
        "nft": "nftables",
        "iptables": "iptables",
        "ipset": "ipset",
        "buildah": "buildah",
    }
    return {
        **{name: tool(name) for name in built},
        **{name: installed(name, package) for name, package in packages.items()},
    }


def containerd_client() -> list[str]:
    """Return the command that speaks to the containerd of a node, to be run inside."""
    return [installed("ctr", "containerd"), "--address", CONTAINERD_SOCKET, "--namespace=k8s.io"]


def cni_programs() -> Path:
    """Return the folder of the programs that make the pods' network.

    Raises
    ------
    ToolMissingError
        Where they are missing.
    """
    for folder in CNI_PROGRAMS:
        if (folder / "host-local").exists():
            return folder
    raise ToolMissingError(
        "the network plugins are missing: .ci/setup cluster installs them, or apt install containernetworking-plugins"
    )
