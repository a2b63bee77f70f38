"""From what a user asks to the plan of a job: whose patches, which part of the sky, what is known of the function."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gozen.archive.stores.open_store import Store
from gozen.instrument.read_header import mjd_of_utc
from gozen.lightcurves.barycentric_times import say_uncertainty
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.jobs.rerun_tables import Family
from gozen.quickdb.jobs.reruns import Reruns
from gozen.quickdb.jobs.run_job import JobPlan, planned
from gozen.quickdb.patches.column_definitions import BARYCENTRIC
from gozen.quickdb.patches.region import as_region
from gozen.quickdb.user_code.user_function import UserCode
from gozen.quickdb.work.program import Mode, Program
from gozen.settings import StorageSettings

_REMEMBERED = 1000
"""Functions of which it is remembered what they read."""


class Planner:
    """Plans the jobs of one archive, and remembers which columns functions read.

    Parameters
    ----------
    store, storage
        The archive, and how workers reach it.
    reruns
        Its tables.
    limits
        Of functions that run apart; None lets them run in the workers.
    """

    def __init__(self, store: Store, storage: StorageSettings, reruns: Reruns, limits: Limits | None) -> None:
        self._where = store.url, storage
        self._reruns = reruns
        self._limits = limits
        self._learned: dict[str, dict[str, list[str]]] = {}

    def plan(
        self,
        program: Program,
        mode: Mode,
        *,
        rerun: str | None,
        table: str | None,
        region: Any,
        sample: float | None,
        keep: bool,
    ) -> JobPlan:
        """Plan a job; parameters and errors are those of `Api.map`, `keep` is its `cache`."""
        code = UserCode.of(program.map, program.reduce, shared=program.shared)
        family = self._reruns.family(rerun, table, code)
        _say_uncertainty(code, family)
        if len(self._learned) > _REMEMBERED:
            self._learned.clear()
        return planned(
            program,
            code,
            family,
            self._where,
            rerun=rerun or self._reruns.usual,
            mode=mode,
            region=None if region is None else as_region(region),
            sample=sample,
            limits=self._limits,
            keep=keep,
            learned=self._learned.setdefault(code.identity, {}),
        )


def _say_uncertainty(code: UserCode, family: Family) -> None:
    # Here, once, and not in each of the workers that compute the times.
    asked = any(text.rpartition(".")[2] == BARYCENTRIC for text in code.strings)
    place_m = next((one.place_m for one in family.names.tables.values()), None)
    if asked and place_m is not None:
        say_uncertainty(mjd_of_utc(datetime.now(UTC)), place_m)
