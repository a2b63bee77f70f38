"""An operator as a process with a real API server, in a namespace of its own.

Every module of tests has another namespace: what one leaves behind, such as a Job that never ends, must not make the
resources of the next one wait.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.free_ports import free_ports

from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.stores.open_store import open_store
from gozen_operator.crds import KINDS, definition

from .api_server import ApiServer
from .processes import wait_until

SECONDS_TO_START = 60
_TAIL = 6000


@dataclass
class Running:
    """An operator process."""

    server: ApiServer
    namespace: str
    process: subprocess.Popen[bytes]
    port: int
    archive: Path
    log: Path

    def kubectl(self, *words: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self.server.kubectl("--namespace", self.namespace, *words, **given)

    def apply(self, manifest: dict[str, Any], name: str, **spec: Any) -> None:
        """Apply a resource under another name, with another spec; None leaves a field out."""
        kept = {word: value for word, value in {**manifest["spec"], **spec}.items() if value is not None}
        text = yaml.safe_dump({**manifest, "metadata": {"name": name}, "spec": kept})
        self.kubectl("apply", "-f", "-", stdin=text, check=True)

    def condition(self, what: str, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; empty where it is not known."""
        found = json.loads(self.kubectl("get", what, "-o", "json", check=True).stdout)
        for one in found.get("status", {}).get("conditions", []):
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def until(self, what: str, kind: str, reason: str) -> str:
        """Wait until a condition has a reason; return its message."""
        seen = ("", "", "")

        def is_there() -> bool:
            nonlocal seen
            seen = self.condition(what, kind)
            return seen[1] == reason

        wait_until(is_there, f"{what} to be {reason}", 30)
        return seen[2]

    def raw(self, exposure: str, *sensors: str) -> None:
        """Put the record of raw data into the archive, as who takes them in does last."""
        files = {sensor: (f"raw/20300101/{exposure}/{sensor}.fits",) for sensor in sensors}
        record_exposure(open_store(self.archive), RawExposure("20300101", exposure, "M42", "OBJECT", 62502.0, files))

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-_TAIL:]


def begin(server: ApiServer, folder: Path, namespace: str, **settings: str) -> Running:
    """Start an operator."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "KUBECONFIG": str(server.kubeconfig),
        "GOZEN_ARCHIVE": str(folder / "archive"),
        "GOZEN_OPERATOR_NAMESPACES": json.dumps([namespace]),
        "GOZEN_OPERATOR_PORT": str(port),
        "GOZEN_RAW_URL_PREFIXES": json.dumps([f"file://{folder}/campaign"]),
        "GOZEN_OPERATOR_LOOK_S": "0.5",
        "GOZEN_OPERATOR_RESYNC_S": "2",
        **settings,
    }
    program = Path(sys.executable).parent / "gozen-operator"
    log = folder / f"operator-{port}.log"
    with log.open("wb") as said:
        process = subprocess.Popen([program], env=environment, stdout=said, stderr=said)
    return Running(server, namespace, process, port, folder / "archive", log)


def get(running: Running, page: str) -> tuple[int, str]:
    """Return code and text of one of its pages; 0 when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, OSError):
        return 0, ""


def becomes_leader(running: Running) -> None:
    """Wait until an operator has the Lease."""
    wait_until(lambda: "gozen_leader 1.0" in get(running, "metrics")[1], "the operator", SECONDS_TO_START)


@contextmanager
def leading(server: ApiServer, folder: Path, namespace: str, **settings: str) -> Iterator[Running]:
    """Run an operator that is the leader; at its end print the end of its log, which is shown when a test fails."""
    running = begin(server, folder, namespace, **settings)
    try:
        becomes_leader(running)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)
        print(running.tail())  # noqa: T201 - shown when a test fails


def with_namespace(api_server: ApiServer, namespace: str) -> ApiServer:
    """Return an API server with Gozen's kinds and a namespace in which pods are restricted."""
    text = "\n---\n".join(yaml.safe_dump(definition(kind)) for kind in KINDS)
    api_server.kubectl("apply", "--server-side", "-f", "-", stdin=text, check=True)
    names = [f"crd/{kind.plural}.gozen.astro" for kind in KINDS]
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names, check=True)
    api_server.kubectl("create", "namespace", namespace)
    label = "pod-security.kubernetes.io/enforce=restricted"
    api_server.kubectl("label", "--overwrite", "namespace", namespace, label, check=True)
    return api_server
