"""Test Dask's controller as in the chart: a hostile scheduler cannot make it speak Dask's protocol or act elsewhere.

Each test runs functions of the installed controller against a server of the test. Not covered: the NetworkPolicy on a
node that enforces it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterator
from importlib import reload
from typing import Any

import pytest
from aiohttp import web
from dask_kubernetes.operator.controller import controller

from gozen_hub.workers import dask_controller
from gozen_hub.workers.dask_controller import MOST_BYTES, names_of_group

GROUP = "gozen-default"
MINE = f"{GROUP}-worker-0123456789"
Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


@pytest.fixture
def guarded() -> Iterator[Any]:
    """Return the controller with its guard; afterwards it is as it comes."""
    reload(controller)
    dask_controller.guard(controller)
    yield controller
    reload(controller)


class Scheduler:
    """A user's scheduler that answers each request in the same way, and notes who connects to the port of Dask."""

    def __init__(self, answer: Handler) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.connected = 0

    async def __aenter__(self) -> Scheduler:
        async def noted(request: web.Request) -> web.StreamResponse:
            self.asked.append(request.path)
            return await self._answer(request)

        async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connected += 1
            writer.close()

        self._app = web.AppRunner(web.Application())
        self._app.app.router.add_route("*", "/{path:.*}", noted)
        await self._app.setup()
        site = web.TCPSite(self._app, "127.0.0.1", 0)
        await site.start()
        self.http = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self._comm = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.comm = self._comm.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._comm.close()
        await self._app.cleanup()

    async def address(self, *_: Any, port_name: str = "tcp-comm", **__: Any) -> str:
        """Stand in for the look-up of a Service."""
        return f"http://127.0.0.1:{self.http}" if port_name == "http-dashboard" else f"tcp://127.0.0.1:{self.comm}"


def says(status: int, content: Any) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=json.dumps(content), content_type="application/json")

    return answer


LOG = logging.getLogger("test")


def ask(module: Any, answer: Handler, what: str) -> tuple[Any, Scheduler]:
    """Run one of the controller's questions; return its answer or its error, and what the scheduler saw."""

    async def run() -> tuple[Any, Scheduler]:
        async with Scheduler(answer) as scheduler:
            module.get_scheduler_address = scheduler.address
            place = {"scheduler_service_name": "gozen-scheduler", "namespace": "gozen-user-hoshi"}
            asked = {
                "idle": lambda: module.check_scheduler_idle(**place, logger=LOG),
                "wanted": lambda: module.get_desired_workers(**place),
                "retire": lambda: module.retire_workers(n_workers=1, worker_group_name=GROUP, logger=LOG, **place),
            }
            try:
                return await asked[what](), scheduler
            except Exception as error:
                return error, scheduler

    return asyncio.run(run())


@pytest.fixture
def no_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: Any, **__: Any) -> Any:
        for one in ():
            yield one

    monkeypatch.setattr("kr8s.asyncio.get", none)


@pytest.mark.parametrize("what", ["idle", "wanted", "retire"])
@pytest.mark.parametrize("status", [500, 404, 302])
def test_after_an_error_it_does_not_speak_dasks_protocol(
    guarded: Any, no_deployments: None, what: str, status: int
) -> None:
    found, scheduler = ask(guarded, says(status, {}), what)
    assert scheduler.asked
    assert scheduler.connected == 0
    assert isinstance(found, Exception) or found == []


def test_as_it_comes_it_would_speak_it(no_deployments: None) -> None:
    """That the tests above can fail."""
    reload(controller)
    _, scheduler = ask(controller, says(500, {}), "retire")
    assert scheduler.connected > 0


@pytest.mark.parametrize("what", ["idle", "retire"])
def test_it_follows_no_redirect(guarded: Any, what: str) -> None:
    """A redirect would lead to the scheduler of another user, whose workers it would retire."""
    other = {"asked": 0}

    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == "/other":
            other["asked"] += 1
            return web.json_response({"idle_since": 1.0})
        return web.Response(status=307, headers={"Location": "/other"})

    found, _ = ask(guarded, redirect, what)
    assert isinstance(found, dask_controller.SchedulerNotTrustedError)
    assert other["asked"] == 0


def test_it_reads_no_endless_answer(guarded: Any) -> None:
    sent = {"bytes": 0}

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while sent["bytes"] < 64 * MOST_BYTES:
            await response.write(b" " * 65536)
            sent["bytes"] += 65536
        return response

    found, _ = ask(guarded, endless, "idle")
    assert isinstance(found, dask_controller.SchedulerNotTrustedError)
    assert sent["bytes"] < 64 * MOST_BYTES


def test_an_honest_scheduler_is_heard(guarded: Any) -> None:
    assert ask(guarded, says(200, {"idle_since": 12.5}), "idle")[0] == 12.5
    assert ask(guarded, says(200, {"tcp://a": {"name": MINE}}), "retire")[0] == [MINE]


def test_it_deletes_no_deployment_that_is_not_a_worker_of_the_group(guarded: Any) -> None:
    """A name with ``..`` would lead to the namespace of another user, in which the controller may delete, too."""
    names = ["../../gozen-user-kaze/deployments/gozen-scheduler", "gozen-scheduler", f"{GROUP}-worker-012345678/", MINE]
    found, _ = ask(guarded, says(200, {str(i): {"name": name} for i, name in enumerate(names)}), "retire")
    assert found == [MINE]
    assert names_of_group([f"{MINE}\n", f"x{MINE}", 3, None, MINE], GROUP) == [MINE]


def test_the_name_of_a_worker_is_as_the_controller_makes_it() -> None:
    spec = controller.build_worker_deployment_spec(GROUP, "n", "gozen", "0123456789", {"containers": []}, {}, {})
    assert names_of_group([spec["metadata"]["name"]], GROUP) == [MINE]


def test_it_finds_schedulers_at_the_http_port_alone(guarded: Any) -> None:
    """The controller as it comes forwards a port by the API server where it finds no name: past every NetworkPolicy."""
    place = ("gozen-scheduler", "gozen-user-hoshi")
    found = asyncio.run(guarded.get_scheduler_address(*place, port_name="http-dashboard", allow_external=False))
    assert found == "http://gozen-scheduler.gozen-user-hoshi:8787"
    with pytest.raises(dask_controller.SchedulerNotTrustedError):
        asyncio.run(guarded.get_scheduler_address(*place, allow_external=False))
