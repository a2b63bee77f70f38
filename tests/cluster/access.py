"""Access of clients to a cluster: users, kubeconfig files and kubectl."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .tools import tool

ADMIN = "admin"


@dataclass(frozen=True)
class User:
    """Someone with a token that the API server knows from its start."""

    name: str
    groups: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_hex(16))


def token_file(users: Sequence[User]) -> str:
    """Return the text of the file of `--token-auth-file`: token, name, uid, groups."""
    return "".join(f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in users)


def kubeconfig(url: str, authority: Path, token: str, namespace: str = "default") -> dict[str, Any]:
    """Return a kubeconfig of one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gozen", "cluster": {"server": url, "certificate-authority": str(authority)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "gozen", "context": {"cluster": "gozen", "user": "user", "namespace": namespace}}],
        "current-context": "gozen",
    }


class Administered:
    """A cluster whose administrator uses kubectl here.

    Parameters
    ----------
    kubeconfig
        That of the administrator.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def kubectl(
        self,
        *words: str | Path,
        stdin: str | None = None,
        seconds: float = 60,
        check: bool = False,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, as the administrator if no other kubeconfig is given.

        Parameters
        ----------
        *words
            Its arguments.
        stdin
            What it reads, as with ``apply -f -``.
        seconds
            The longest time to wait.
        check
            Whether an exit code other than 0 is an AssertionError with what kubectl said.
        kubeconfig
            Who asks.

        Returns
        -------
        subprocess.CompletedProcess
            With ``returncode``, ``stdout`` and ``stderr``.
        """
        done = subprocess.run(
            [tool("kubectl"), "--kubeconfig", kubeconfig or self.kubeconfig, *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(map(str, words))}\n{done.stdout}{done.stderr}"
        return done


class Cluster(Administered):
    """A running API server as its clients see it.

    Parameters
    ----------
    url
        Address of the API server.
    authority
        Certificate to check the server by.
    folder
        Where kubeconfig files are written.
    users
        Those of the token file; one is named `ADMIN`.
    """

    def __init__(self, url: str, authority: Path, folder: Path, users: Sequence[User]) -> None:
        self.url = url
        self.authority = authority
        self.folder = folder
        self.users: Mapping[str, User] = {user.name: user for user in users}
        super().__init__(self.kubeconfig_for(ADMIN, self.users[ADMIN].token))

    def kubeconfig_for(self, name: str, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig for a token and return its path."""
        path = self.folder / f"{name.replace(':', '-')}.kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(self.url, self.authority, token, namespace)))
        path.chmod(0o600)
        return path

    def kubeconfig_of_service_account(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig with a fresh token of a service account, as a pod would have it."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, check=True).stdout.strip()
        return self.kubeconfig_for(f"{namespace}-{name}", token, namespace)
