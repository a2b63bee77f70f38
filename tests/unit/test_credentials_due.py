"""Test which users' credentials must be renewed: decisions of the service for labs' credentials, with a given time."""

from __future__ import annotations

import pytest

from gozen.archive.access_levels import Level, Members
from gozen_hub.credentials.due import (
    Failed,
    Given,
    UserNamespace,
    Wanted,
    after_failure,
    due,
    overdue_s,
    pause,
    renewal_time,
    wanted,
)

ADA, EVE = UserNamespace("u-ada", "1", "ada"), UserNamespace("u-eve", "2", "eve")
MARKS: dict[Level, str] = {"members": "m", "others": "o"}
NOW = 1000.0
HELD = Given(Wanted(ADA, "members"), "m", NOW + 1)


def levels(groups: dict[str, frozenset[str]] | None, rule: Members) -> dict[str, str]:
    return {one.namespace.user: one.level for one in wanted([ADA, EVE], groups, rule)}


def test_levels_are_known_at_once_where_groups_do_not_matter() -> None:
    assert levels(None, Members(users=frozenset({"ada"}))) == {"ada": "members", "eve": "others"}
    assert levels(None, Members(everyone=True)) == {"ada": "members", "eve": "members"}


def test_until_the_hub_has_answered_only_members_by_name_have_a_level() -> None:
    """Else a member by group would lose rights whenever both start again."""
    rule = Members(users=frozenset({"ada"}), groups=frozenset({"survey"}))
    assert levels(None, rule) == {"ada": "members"}
    assert levels({}, rule) == {"ada": "members", "eve": "others"}
    assert levels({"eve": frozenset({"survey"})}, rule) == {"ada": "members", "eve": "members"}


@pytest.mark.parametrize(
    ("wish", "given", "mark", "now", "expected"),
    [
        (Wanted(ADA, "members"), None, "m", NOW, True),
        (Wanted(ADA, "members"), HELD, "m", NOW, False),
        (Wanted(ADA, "members"), HELD, "m", NOW + 1, True),
        (Wanted(ADA, "others"), HELD, "m", NOW, True),
        (Wanted(ADA, "members"), HELD, "rotated", NOW, True),
    ],
    ids=["new", "fresh", "half of its life is over", "another level", "the key was rotated"],
)
def test_due_is_what_is_new_old_or_different(
    wish: Wanted, given: Given | None, mark: str, now: float, expected: bool
) -> None:
    found = due([wish], {"1": given} if given else {}, {}, {"members": mark, "others": "o"}, now)
    assert found == [wish] * expected


def test_a_namespace_that_was_made_again_gets_its_secret_at_once() -> None:
    again = Wanted(UserNamespace("u-ada", "3", "ada"), "members")
    assert due([again], {"1": HELD}, {}, MARKS, NOW) == [again]


def test_who_has_nothing_yet_comes_first() -> None:
    wishes = [Wanted(ADA, "members"), Wanted(EVE, "others")]
    assert [one.namespace.user for one in due(wishes, {"1": HELD}, {}, MARKS, NOW + 9)] == ["eve", "ada"]


def test_after_a_failure_it_waits_longer_each_time_and_at_most_a_minute() -> None:
    wish, failed, delays = Wanted(EVE, "others"), None, []
    for _ in range(2000):
        failed = after_failure(failed, NOW)
        delays.append(failed.retry_at - NOW)
    assert delays[0] < 1
    assert delays == sorted(delays)
    assert delays[-1] == 60
    assert due([wish], {}, {"2": Failed(1, NOW + 5, NOW)}, MARKS, NOW + 4) == []
    assert due([wish], {}, {"2": Failed(1, NOW + 5, NOW)}, MARKS, NOW + 5) == [wish]


def test_half_of_the_life_is_left_when_they_are_renewed() -> None:
    assert renewal_time(NOW, 3600) == NOW + 1800


def test_it_sleeps_until_something_is_due() -> None:
    assert pause({}, {}, NOW, 30) == 30
    assert pause({"1": HELD}, {}, NOW, 30) == 1
    assert pause({"1": HELD}, {"2": Failed(1, NOW + 0.5, NOW)}, NOW, 30) == 0.5
    assert 0 < pause({"1": Given(HELD.wanted, "m", NOW - 100)}, {}, NOW, 30) < 1


def test_while_a_renewal_fails_it_sleeps_until_the_next_attempt() -> None:
    late = {"1": Given(HELD.wanted, "m", NOW - 100)}
    assert pause(late, {"1": Failed(9, NOW + 20, NOW - 100)}, NOW, 30) == 20


def test_what_is_overdue_counts_also_for_users_who_have_nothing_yet() -> None:
    late = {"1": Given(HELD.wanted, "m", NOW - 100)}
    assert overdue_s({}, {}, NOW) == overdue_s({"1": HELD}, {}, NOW) == 0
    assert overdue_s(late, {"1": Failed(3, NOW, NOW - 90)}, NOW) == 100
    assert overdue_s({"1": HELD}, {"2": Failed(3, NOW, NOW - 90)}, NOW) == 90
    first = after_failure(None, NOW)
    assert after_failure(first, NOW + 5).since == NOW
