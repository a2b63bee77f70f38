"""Dask's controller, which cannot be led to unpickle an answer, or to act on objects of another user.

Run by ``kopf run -m gozen_hub.workers.dask_controller``. The controller of dask-kubernetes asks the HTTP API of a
user's scheduler, which may run any code of the user. Without the changes here, it (1) tries Dask's own protocol after
an HTTP error and unpickles the answer, (2) forwards a port past all NetworkPolicies if it cannot resolve a host name,
and blocks meanwhile, (3) follows redirects, (4) reads an answer of any size, (5) deletes any Deployment that the
scheduler names. The NetworkPolicy and the rights in the chart forbid (1) and (2) a second time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import aiohttp
import kopf
from dask_kubernetes.operator.controller import controller

from gozen_hub.workers.cluster_manifest import HTTP_PORT

MOST_BYTES = 2**20
_SECONDS = 10.0
_WORKER = r"-worker-[0-9a-f]{10}"
Retire = Callable[..., Awaitable[list[str]]]


class SchedulerNotTrustedError(Exception):
    """The controller must not follow the answer of a user's scheduler."""


def no_protocol(address: Any, *_: Any, **__: Any) -> NoReturn:
    """Refuse Dask's protocol, whose answers are unpickled."""
    raise SchedulerNotTrustedError(
        f"the Dask scheduler {address} is queried by HTTP only; check that its HTTP port answers"
    )


async def http_address(service: str, namespace: str | None, port_name: str = "tcp-comm", **_: Any) -> str:
    """Return the address of the HTTP API of a scheduler; refuse every other port."""
    if port_name != "http-dashboard":
        no_protocol(service)
    return f"http://{service}.{namespace}:{HTTP_PORT}"


def names_of_group(names: Any, group: str) -> list[str]:
    """Return the names that belong to workers of a group; any other name could point to another namespace."""
    return [one for one in names if isinstance(one, str) and re.fullmatch(re.escape(group) + _WORKER, one)]


async def _refuse_redirect(_: Any, __: Any, parameters: Any) -> None:
    raise SchedulerNotTrustedError(
        f"the Dask scheduler at {parameters.url} answers with a redirect, which Gozen does not follow; "
        "check whether its user has replaced it"
    )


class ShortResponse(aiohttp.ClientResponse):
    """An answer of at most `MOST_BYTES`."""

    async def read(self) -> bytes:
        """Return the whole answer."""
        if self._body is None:
            found = bytearray()
            async for chunk in self.content.iter_any():
                found += chunk
                if len(found) > MOST_BYTES:
                    self.close()
                    raise SchedulerNotTrustedError(
                        f"the Dask scheduler at {self.url} answers with more than {MOST_BYTES} bytes"
                    )
            self._body = bytes(found)
        return self._body


def guarded_session() -> aiohttp.ClientSession:
    """Return an HTTP client that follows no redirects, and reads neither long nor slow nor compressed answers."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        trace_configs=[trace],
        timeout=aiohttp.ClientTimeout(total=_SECONDS),
        response_class=ShortResponse,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


def _of_group_alone(retire: Retire) -> Retire:
    @functools.wraps(retire)
    async def guarded(*, worker_group_name: str, **arguments: Any) -> list[str]:
        found = await retire(worker_group_name=worker_group_name, **arguments)
        return names_of_group(found, worker_group_name)

    return guarded


def guard(module: Any) -> None:
    """Replace the functions of the controller that trust a scheduler."""
    module.rpc = no_protocol
    module.get_scheduler_address = http_address
    module.aiohttp = SimpleNamespace(ClientSession=guarded_session)
    module.retire_workers = _of_group_alone(module.retire_workers)


@kopf.on.startup()
def look_for_no_resources(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Do not watch namespaces and CustomResourceDefinitions, for which the account has no rights."""
    settings.scanning.disabled = True


guard(controller)
