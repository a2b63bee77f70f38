"""Renew the credentials of all users in rounds: each round writes the credentials that are due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Set
from typing import Protocol

from gozen.archive.access_levels import Level, Members
from gozen.errors import GozenError
from gozen_hub.credentials.credentials_metrics import CredentialMetrics
from gozen_hub.credentials.due import (
    Failed,
    Given,
    UserNamespace,
    Wanted,
    after_failure,
    due,
    pause,
    renewal_time,
    wanted,
)
from gozen_hub.credentials.key_sources import KeySource
from gozen_hub.credentials.user_secret import Issued

_MOST_FAILURES = 3
"""A round ends after this many consecutive failures: each may last until a time-out, and new users must wait."""
_log = logging.getLogger(__name__)


class Cluster(Protocol):
    """The requests about users' namespaces; `gozen_hub.credentials.cluster.UserNamespaces` sends them."""

    def list(self) -> list[UserNamespace]:
        """Return all namespaces of users."""

    def wait(self, seconds: float) -> None:
        """Return when a namespace has changed, or after some seconds."""

    def give(self, namespace: UserNamespace, level: Level, issued: Issued) -> None:
        """Write the Secret of a namespace."""


class Renewal:
    """Renews credentials.

    Parameters
    ----------
    groups
        Returns the groups of each user; None if membership does not depend on groups.
    check_s
        Longest time between two rounds, s.
    """

    def __init__(
        self,
        cluster: Cluster,
        source: KeySource,
        rule: Members,
        groups: Callable[[], Mapping[str, Set[str]]] | None,
        metrics: CredentialMetrics,
        check_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._source, self._rule, self._ask_groups = cluster, source, rule, groups
        self._metrics, self._check_s, self._clock = metrics, check_s, clock
        self._groups: Mapping[str, Set[str]] | None = None
        self._given: dict[str, Given] = {}
        self._failed: dict[str, Failed] = {}

    def run(self) -> None:
        """Renew without end."""
        while True:
            seconds = self._guarded_round()
            try:
                self._cluster.wait(seconds)
            except GozenError as error:
                _log.warning("%s", error)
                time.sleep(1)

    def _guarded_round(self) -> float:
        try:
            return self.round()
        except Exception as error:  # most often the API server; the written credentials are valid meanwhile
            unexpected = None if isinstance(error, GozenError) else error
            _log.warning("no credentials were written in this round: %s", error, exc_info=unexpected)
            return 1.0

    def round(self) -> float:
        """Write the credentials that are due; return for how many seconds no others will be due.

        Raises
        ------
        ClusterUnavailable
            The API server does not list the namespaces.
        """
        wishes = wanted(self._cluster.list(), self._read_groups(), self._rule)
        self._forget_all_but({one.namespace.uid for one in wishes})
        marks, failures = self._source.marks(), 0
        for wish in due(wishes, self._given, self._failed, marks, self._clock()):
            failures = 0 if self._renew(wish, marks[wish.level]) else failures + 1
            if failures == _MOST_FAILURES:
                break
        now = self._clock()
        self._metrics.end_of_round(self._given, self._failed, now)
        return pause(self._given, self._failed, now, self._check_s)

    def _read_groups(self) -> Mapping[str, Set[str]] | None:
        """Return the groups of users; those known before if the hub does not answer."""
        if self._ask_groups is not None:
            try:
                self._groups = self._ask_groups()
            except GozenError as error:
                _log.warning("%s; until the hub answers, users keep their levels", error)
        return self._groups

    def _renew(self, wish: Wanted, mark: str) -> bool:
        where = wish.namespace
        try:
            issued = self._source.issue(where, wish.level)
            self._cluster.give(where, wish.level, issued)
        except Exception as error:  # a fault in the renewal for one user must not stop the others
            failed = after_failure(self._failed.get(where.uid), self._clock())
            self._failed[where.uid] = failed
            self._metrics.failures.inc()
            unexpected = None if isinstance(error, GozenError) else error
            _log.warning("%s: attempt %d failed: %s", where.name, failed.attempts, error, exc_info=unexpected)
            return False
        self._failed.pop(where.uid, None)
        now = self._clock()
        self._given[where.uid] = Given(wish, mark, renewal_time(now, issued.lifetime_s))
        self._metrics.renewals.labels(wish.level).inc()
        _log.info("%s: credentials for %s, valid for %.0f s", where.name, wish.level, issued.lifetime_s)
        return True

    def _forget_all_but(self, there: Set[str]) -> None:
        for known in (self._given, self._failed):
            for uid in known.keys() - there:
                del known[uid]
