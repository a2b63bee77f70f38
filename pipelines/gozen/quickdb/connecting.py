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
    """Connect to the tables of an archive; arguments that are left out come from the site's settings.

    Parameters
    ----------
    archive
        A directory or any fsspec URL.
    rerun
        The release that jobs read by default; without one they read the live tables.
    engine
        ``local`` for processes on this machine, ``dask`` for Dask workers on this machine, the address of a Dask
        scheduler (``tcp://host:8786``), or a ``distributed.Client``.
    workers
        Number of processes on this machine; 0 runs everything in the current process, where a debugger can stop in
        the function.
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
    opened = _engine(engine or quickdb.engine, settings.workers if workers is None else workers)
    return Api(settings, opened, rerun=rerun or quickdb.rerun, limits=limits, place_m=_place(settings))


def _engine(wanted: Any, workers: int) -> Engine:
    if workers == 0:
        return Here()
    if wanted == "local":
        from gozen.quickdb.engines.local_engine import LocalEngine

        local = LocalEngine(workers)
        local.start()
        return local
    if wanted == "dask" or not isinstance(wanted, str) or "://" in wanted:
        from gozen.quickdb.engines.dask_engine import DaskEngine

        return DaskEngine(None if wanted == "dask" else wanted, workers)
    raise BadRequest(
        f"engine {wanted!r} is not known: write local, dask, or a scheduler's address, such as tcp://host:8786"
    )


def _limits(settings: Settings) -> Limits:
    from gozen.quickdb.isolation import available

    reason = available()
    if reason is not None:
        raise IsolationUnavailable(f"isolate=True: {reason}")
    quickdb = settings.quickdb
    return Limits(quickdb.memory_mb << 20, quickdb.seconds, quickdb.result_mb << 20)


def _place(settings: Settings) -> Place | None:
    with contextlib.suppress(GozenError):  # tables can be read without a camera profile
        return load_profile(settings.instrument).site.geocentric_m
    return None
