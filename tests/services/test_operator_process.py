"""The operator as a process with an API server in memory: its health, and unfinished work at its end.

Covered: a reconciliation that hangs in a stalled archive is reported, and keeps the Lease until it ends; a renewing
task that fails ends the process. Not covered: watching, which kopf does (tests/cluster).
"""

from __future__ import annotations

import asyncio
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from tests.free_ports import free_port

from gozen.errors import MissingObject
from gozen.settings import load_settings
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process import operator_process
from gozen_operator.process.leadership import Leadership
from gozen_operator.process.operator_process import Process

NIGHT = "20300101"
SPEC = {"object": "field", "exposureId": 7, "night": NIGHT, "nframe": 6, "pipelines": ["wcs"], "sensors": ["111"]}
META = {"name": "field", "namespace": "night", "uid": "u", "resourceVersion": "1", "generation": 1}
EXPOSURE = {"apiVersion": "gozen.astro/v1alpha1", "kind": "Exposure", "metadata": META, "spec": SPEC}


@pytest.fixture(autouse=True)
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return with which codes the process would have ended at once: here it goes on, as it is the tests' own."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


@pytest.fixture
def port() -> int:
    return free_port()


class Server:
    """An API server with one Exposure and a Lease."""

    writes = 0

    def __init__(self) -> None:
        self.kept: dict[str, Any] | None = None
        self.said: list[str] = []

    def pages_of(self, kind: str, namespace: str) -> list[list[dict[str, Any]]]:
        return [[EXPOSURE]] if kind == "Exposure" else []

    def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.kept

    def write_lease(self, namespace: str, manifest: dict[str, Any]) -> bool:
        self.kept = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "1"}}
        self.said.append(f"lease of {manifest['spec']['holderIdentity'] or 'nobody'}")
        return True

    def write_status(self, key: Any, version: str, status: dict[str, Any]) -> None:
        self.said.append("status")

    def tell(self, *_: Any) -> None:
        """Say nothing."""


class Stalled:
    """An archive on a file system that does not answer for a while."""

    def __init__(self) -> None:
        self.answers = threading.Event()

    def read(self, key: str) -> bytes:
        self.answers.wait(60)
        raise MissingObject(key)

    def list(self, prefix: str) -> list[str]:
        self.answers.wait(60)
        return []


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Stalled:
    stalled = Stalled()
    monkeypatch.setattr(operator_process, "open_archive", lambda _site: stalled)
    return stalled


class Unwatched(Process):
    """A process to which nobody tells of changes."""

    async def _watch(self) -> None:
        await asyncio.Event().wait()


def a_process(server: Server, port: int) -> Unwatched:
    settings = OperatorSettings(namespaces=("night",), identity="me", stuck_s=0.2, port=port)
    return Unwatched(load_settings(), settings, server)  # type: ignore[arg-type]


def page(port: int, name: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.02)


def test_a_look_that_hangs_is_seen_and_keeps_the_lease_until_it_ends(archive: Stalled, port: int) -> None:
    server = Server()

    async def live() -> None:
        process = a_process(server, port)
        running = asyncio.create_task(process.run())
        await until(lambda: page(port, "healthz")[0] == 503)
        _, health = await asyncio.to_thread(page, port, "healthz")
        assert "Exposure night/field has been reconciled for" in health
        _, metrics = await asyncio.to_thread(page, port, "metrics")
        aged = [one for one in metrics.splitlines() if one.startswith("gozen_oldest_look_sec")]
        assert float(aged[0].split()[1]) > 0.2
        process.stop.set()
        await until(lambda: process._threads._shutdown)
        assert set(server.said) == {"lease of me"}, "it does not let another one begin while it may still write"
        archive.answers.set()
        await asyncio.wait_for(running, 30)

    asyncio.run(live())
    assert server.said[-1] == "lease of nobody"
    assert "status" in server.said[:-1]


def test_a_look_that_never_ends_ends_the_process_which_keeps_its_lease(
    archive: Stalled, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, ended = Server(), []
    monkeypatch.setattr(operator_process, "JOIN_S", 0.1)

    def end(code: int) -> None:
        ended.append((code, list(server.said)))
        archive.answers.set()

    monkeypatch.setattr(os, "_exit", end)

    async def live() -> None:
        process = a_process(server, port)
        running = asyncio.create_task(process.run())
        await until(lambda: process.queue.oldest() is not None)
        process.stop.set()
        await asyncio.wait_for(running, 30)

    asyncio.run(live())
    [(code, said)] = ended
    assert (code, set(said)) == (75, {"lease of me"})


def test_a_renewing_task_that_dies_ends_the_process(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(_: Leadership) -> None:
        raise RuntimeError("renewing died")

    monkeypatch.setattr(Leadership, "_renew", dies)

    async def live() -> None:
        with pytest.raises(RuntimeError, match="renewing died"):
            await asyncio.wait_for(a_process(Server(), port).run(), 30)

    asyncio.run(live())
