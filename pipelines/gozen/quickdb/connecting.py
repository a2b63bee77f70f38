"""Make an `Api` from a site's settings: archive, engine, limits."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from gozen.errors import BadRequest, GozenError, IsolationUnavailable
from gozen.instrument.profile import load_profile
from gozen.lightcurves.barycentric_times import Place
from gozen.quickdb.api import Api
from gozen.quickdb.engines import Engine, Here
from gozen.quickdb.isolation.limits import Limits
from gozen.settings import Settings, load_settings


def connect(
    archive: str | os.PathLike[str] | None = None,
    *,
    rerun: str | None = None,
    engine: Any = None,
    workers: int | None = None,
    isolate: bool | None = None,
    settings: Settings | None = None,
) -> Api:
    """Connect to the tables of an archive; if an argument is omitted, the site's settings give its value.

    Parameters
    ----------
    archive
        A directory or any fsspec URL.
    rerun
        The release that jobs read by default; without one they read the live tables.
    engine
        ``local`` for processes on this machine, ``dask`` for Dask workers on this machine, ``workers`` for your own
        workers in the hub's cluster (the default in a lab that can have them), the address of a Dask scheduler
        (``tcp://host:8786``), or a ``distributed.Client``.
    workers
        Number of processes on this machine, or of your own workers; 0 runs everything in the current process, where a
        debugger can stop in the function.
    isolate
        Whether functions run isolated: without network, files and credentials, and with limits on memory, time and
        the size of results.
    settings
        Used instead of the site's settings.

    Returns
    -------
    Api
        A context manager that stops the workers on exit; they also stop when the program ends.

    Raises
    ------
    BadRequest
        The engine is unknown, or its package is not installed.
    IsolationUnavailable
        Isolation is requested, and this kernel does not support it.
    """
    settings = settings or load_settings(archive=None if archive is None else os.fspath(archive))
    if archive is not None:
        settings = settings.model_copy(update={"archive": os.fspath(archive)})
    quickdb = settings.quickdb
    isolate = quickdb.isolate if isolate is None else isolate
    limits = _limits(settings) if isolate else None  # raises before workers start
    opened = _engine(engine or quickdb.engine or _default_engine(), workers, settings)
    return Api(settings, opened, rerun=rerun or quickdb.rerun, limits=limits, place_m=_place(settings))


def _default_engine() -> str:
    return "workers" if os.environ.get("GOZEN_WORKERS_URL") else "local"


def _engine(wanted: Any, given: int | None, settings: Settings) -> Engine:
    workers = settings.workers if given is None else given
    if workers == 0:
        return Here()
    if wanted == "local":
        from gozen.quickdb.engines.local_engine import LocalEngine

        local = LocalEngine(workers)
        local.start()
        return local
    if wanted == "workers":
        return _own_workers(given, settings)
    if wanted == "dask" or not isinstance(wanted, str) or "://" in wanted:
        from gozen.quickdb.engines.dask_engine import DaskEngine

        return DaskEngine(None if wanted == "dask" else wanted, workers)
    raise BadRequest(
        f"engine {wanted!r} is not known: write local, dask, workers, or a scheduler's address, such as tcp://host:8786"
    )


def _own_workers(given: int | None, settings: Settings) -> Engine:
    """Return the engine that uses the workers of the lab's user; no request is sent before the first job."""
    from gozen.quickdb.engines.lab_workers import LabWorkers
    from gozen.quickdb.engines.workers_service import URL, WorkersService

    service = WorkersService.of_this_lab()
    if service is None:
        raise BadRequest(f'the engine "workers" needs a lab of a hub, which sets {URL}; use "local" here')
    return LabWorkers(service, fixed=given, local=settings.workers, start_s=settings.quickdb.workers_start_s)


def _limits(settings: Settings) -> Limits:
    from gozen.quickdb.isolation import ADVICE, available

    reason = available()
    if reason is not None:
        raise IsolationUnavailable(f"a user's function cannot be isolated: {reason}; {ADVICE}")
    quickdb = settings.quickdb
    return Limits(quickdb.memory_mb << 20, quickdb.seconds, quickdb.result_mb << 20)


def _place(settings: Settings) -> Place | None:
    with contextlib.suppress(GozenError):  # tables can be read without a camera profile
        return load_profile(settings.instrument).site.geocentric_m
    return None
