"""Decide whose credentials are due: compare the wanted ones with the written ones. No I/O; the time is an argument.

The service may not read Secrets, so it remembers in memory which credentials it has written. After a restart it writes
all of them again; labs do not notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from gozen.archive.access_levels import Level, Members, level_of

_FIRST_RETRY_S, _LAST_RETRY_S = 0.25, 60.0
"""First and longest pause before a retry, s. In a new namespace, the right to write often comes a moment later."""
_SHORTEST_PAUSE_S = 0.1


@dataclass(frozen=True)
class UserNamespace:
    """The namespace of a user.

    Parameters
    ----------
    name, uid
        Name and uid of the namespace. If it is deleted and made again, it gets another uid, and has no Secret yet.
    user
        Name of the user at the hub.
    """

    name: str
    uid: str
    user: str


@dataclass(frozen=True)
class Wanted:
    """The access level (member or other) of the credentials that a namespace should have."""

    namespace: UserNamespace
    level: Level


@dataclass(frozen=True)
class Given:
    """The credentials that were written into the Secret of a namespace.

    Parameters
    ----------
    wanted
        The namespace and the level.
    mark
        A text that changes with the key from which the credentials come.
    renew_at
        Time of the next renewal, s since the epoch.
    """

    wanted: Wanted
    mark: str
    renew_at: float


@dataclass(frozen=True)
class Failed:
    """The failed attempts for a namespace since the last success.

    Parameters
    ----------
    retry_at, since
        Times of the next attempt and of the first failure, s since the epoch.
    """

    attempts: int
    retry_at: float
    since: float


def wanted(namespaces: Iterable[UserNamespace], groups: Mapping[str, Set[str]] | None, rule: Members) -> list[Wanted]:
    """Return the access level (member or other) of each namespace's credentials.

    Parameters
    ----------
    groups
        Groups of each user; None if the hub has not answered yet. Then only members by name have a known level. All
        others keep the credentials that they have.
    """
    found = []
    for one in namespaces:
        level = level_of(one.user, (groups or {}).get(one.user, frozenset()), rule)
        if level == "members" or groups is not None or not rule.groups:
            found.append(Wanted(one, level))
    return found


def due(
    wishes: Iterable[Wanted],
    given: Mapping[str, Given],
    failed: Mapping[str, Failed],
    marks: Mapping[Level, str],
    now: float,
) -> list[Wanted]:
    """Return the namespaces whose credentials must be written now; those without credentials come first.

    Parameters
    ----------
    given, failed
        By the uid of the namespace.
    marks
        The present mark of the credentials of each access level, to compare with `Given.mark`.
    """
    found = [one for one in wishes if _is_due(one, given.get(one.namespace.uid), marks[one.level], now)]
    ready = [one for one in found if (before := failed.get(one.namespace.uid)) is None or now >= before.retry_at]
    return sorted(ready, key=lambda one: (one.namespace.uid in given, one.namespace.name))


def after_failure(before: Failed | None, now: float) -> Failed:
    """Return when to try again: after a quarter of a second, then twice as long each time, at most a minute."""
    attempts, since = (before.attempts + 1, before.since) if before else (1, now)
    # The exponent is limited too: after days of failures the power would not be a valid float.
    return Failed(attempts, now + min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(attempts - 1, 10)), since)


def renewal_time(now: float, lifetime_s: float) -> float:
    """Return when credentials are renewed: after half of their life, which leaves time for further attempts."""
    return now + lifetime_s / 2


def pause(given: Mapping[str, Given], failed: Mapping[str, Failed], now: float, longest_s: float) -> float:
    """Return for how many seconds nothing will be due, at most `longest_s`; the mappings are by uid."""
    # Credentials whose renewal failed have been due for some time: what counts is when the next attempt is.
    times = [failed[uid].retry_at if uid in failed else one.renew_at for uid, one in given.items()]
    times += [one.retry_at for uid, one in failed.items() if uid not in given]
    return max(_SHORTEST_PAUSE_S, min([longest_s, *(time - now for time in times)]))


def overdue_s(given: Mapping[str, Given], failed: Mapping[str, Failed], now: float) -> float:
    """Return how long the oldest renewal has been due, s; for a user without credentials, since the first failure."""
    since = [one.renew_at for one in given.values()]
    since += [one.since for uid, one in failed.items() if uid not in given]
    return max([0.0, *(now - one for one in since)])


def _is_due(wish: Wanted, has: Given | None, mark: str, now: float) -> bool:
    return has is None or has.wanted != wish or has.mark != mark or now >= has.renew_at
