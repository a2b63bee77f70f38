"""A real API server with its etcd on the loopback interface: resources, CEL, RBAC and tokens, but no pods."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.free_ports import free_ports

from .access import ADMIN, Cluster, User, token_file
from .certificates import Authority
from .processes import Process, wait_until
from .tools import installed, tool

SECONDS_TO_START = 60
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
USERS = (User(ADMIN, ("system:masters",)),)


def etcd_flags(data: Path, client_port: int, peer_port: int) -> list[str]:
    """Return the arguments of an etcd that forgets with its folder, so need not wait for the disk."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def server_flags(
    etcd_port: int, address: str, port: int, certificate: tuple[Path, Path], service_accounts: Path, tokens: Path
) -> list[str]:
    """Return the arguments of kube-apiserver that both a server alone and that of a node need."""
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate[0]}",
        f"--tls-private-key-file={certificate[1]}",
        f"--cert-dir={certificate[0].parent}",
        f"--token-auth-file={tokens}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={service_accounts}",
        f"--service-account-signing-key-file={service_accounts}",
        "--profiling=false",
    ]


class ApiServer(Cluster):
    """etcd and kube-apiserver, running; see `Cluster` for what to do with them.

    Parameters
    ----------
    folder
        Keeps data, logs and kubeconfig files.
    further
        More arguments of kube-apiserver.

    Raises
    ------
    ToolMissingError
        Where a program is missing.
    StartError
        Where one does not start in time.
    """

    def __init__(self, folder: Path, further: Sequence[str] = ()) -> None:
        client_port, peer_port, port = free_ports(3)
        authority = Authority(folder / "certificates")
        super().__init__(f"https://127.0.0.1:{port}", authority.certificate, folder, USERS)
        tokens = folder / "tokens.csv"
        tokens.write_text(token_file(USERS))
        flags = server_flags(
            etcd_port=client_port,
            address="127.0.0.1",
            port=port,
            certificate=authority.server("kube-apiserver", ["127.0.0.1"], SERVER_NAMES),
            service_accounts=authority.signing_key("service-accounts"),
            tokens=tokens,
        )
        server, etcd = tool("kube-apiserver"), installed("etcd", "etcd-server")
        self._processes: list[Process] = []
        try:
            self._start("etcd", [etcd, *etcd_flags(folder / "etcd", client_port, peer_port)])
            # Nobody but us is a peer, and there are no endpoints to write for a server that pods cannot reach.
            alone = ["--authorization-mode=RBAC", "--endpoint-reconciler-type=none"]
            self._start("kube-apiserver", [server, *flags, *alone, *further])
            wait_until(lambda: is_ready(self), "the API server", SECONDS_TO_START, self._processes[::-1])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the API server, then etcd, without which it would hang."""
        for process in self._processes[::-1]:
            process.stop()

    def _start(self, name: str, argv: Sequence[str | Path]) -> None:
        self._processes.append(Process(name, argv, self.folder / "logs" / f"{name}.log"))


def is_ready(cluster: Cluster) -> bool:
    """Whether the API server says that it is ready and its namespace for users exists."""
    return _get(cluster, "/readyz") == b"ok" and _get(cluster, "/api/v1/namespaces/default") is not None


def _get(cluster: Cluster, path: str) -> bytes | None:
    request = urllib.request.Request(
        f"{cluster.url}{path}", headers={"Authorization": f"Bearer {cluster.users[ADMIN].token}"}
    )
    context = ssl.create_default_context(cafile=str(cluster.authority))
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return None
