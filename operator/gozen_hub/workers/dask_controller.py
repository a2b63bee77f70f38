"""Dask's controller, which cannot be led to unpickle an answer, or to act on objects of another user.

Run by ``kopf run -m gozen_hub.workers.dask_controller``. The controller of dask-kubernetes asks the HTTP API of a
user's scheduler, which may run any code of the user. As it comes, it (1) tries Dask's own protocol after an HTTP error
and unpickles the answer, (2) follows redirects, (3) reads an answer of any size, (4) deletes any Deployment that the
scheduler names. The NetworkPolicy of the chart forbids (1) a second time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import aiohttp
from dask_kubernetes.operator.controller import controller

MOST_BYTES = 2**20
_SECONDS = 10.0
_WORKER = r"-worker-[0-9a-f]{10}"
Retire = Callable[..., Awaitable[list[str]]]


class SchedulerNotTrustedError(Exception):
    """The scheduler of a user answered in a way that is not followed."""


def no_protocol(address: Any, *_: Any, **__: Any) -> NoReturn:
    """Stand in for Dask's protocol, whose answers are unpickled."""
    raise SchedulerNotTrustedError(f"the scheduler {address} is asked by HTTP only")


def names_of_group(names: Any, group: str) -> list[str]:
    """Return the names that are those of workers of a group; a name can otherwise lead to another namespace."""
    return [one for one in names if isinstance(one, str) and re.fullmatch(re.escape(group) + _WORKER, one)]


async def _refuse_redirect(_: Any, __: Any, parameters: Any) -> None:
    raise SchedulerNotTrustedError(f"{parameters.url} answers with a redirect, which is not followed")


async def _count(_: Any, context: Any, parameters: Any) -> None:
    context.read = getattr(context, "read", 0) + len(parameters.chunk)
    if context.read > MOST_BYTES:
        raise SchedulerNotTrustedError(f"{parameters.url} answers with more than {MOST_BYTES} bytes")


def guarded_session(**options: Any) -> aiohttp.ClientSession:
    """Return an HTTP client that follows no redirects, and reads neither long nor slow answers."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    trace.on_response_chunk_received.append(_count)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    return aiohttp.ClientSession(trace_configs=[trace], timeout=timeout, **options)


def _of_group_alone(retire: Retire) -> Retire:
    @functools.wraps(retire)
    async def guarded(*, worker_group_name: str, **arguments: Any) -> list[str]:
        found = await retire(worker_group_name=worker_group_name, **arguments)
        return names_of_group(found, worker_group_name)

    return guarded


def guard(module: Any) -> None:
    """Replace in the controller what trusts a scheduler."""
    module.rpc = no_protocol
    module.aiohttp = SimpleNamespace(ClientSession=guarded_session)
    module.retire_workers = _of_group_alone(module.retire_workers)


guard(controller)
