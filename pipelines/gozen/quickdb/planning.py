"""From what a user asks to the plan of a job: whose patches, which part of the sky, what is known of the function."""

from __future__ import annotations

from typing import Any

from gozen.archive.store import Store
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.program import Mode, Program
from gozen.quickdb.region import as_region
from gozen.quickdb.reruns import Reruns
from gozen.quickdb.running import Plan, planned
from gozen.quickdb.usercode import UserCode
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
    ) -> Plan:
        """Plan a job; parameters and errors are those of `Api.map`, `keep` is its `cache`."""
        code = UserCode.of(program.map, program.reduce, program.shared)
        if len(self._learned) > _REMEMBERED:
            self._learned.clear()
        return planned(
            program,
            code,
            self._reruns.family(rerun, table, code),
            self._where,
            rerun=rerun or self._reruns.usual,
            mode=mode,
            region=None if region is None else as_region(region),
            sample=sample,
            limits=self._limits,
            keep=keep,
            learned=self._learned.setdefault(code.identity, {}),
        )
