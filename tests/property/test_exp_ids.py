"""EXP_IDs with crashes between any two calls of the archive, and with several processes at the same time.

Covered: no number belongs to two attempts; an attempt always gets the same number; a shutter opens once for a number;
only one outcome is recorded; numbers of raw data from other sources are not used; a lost hint costs only time; the
advice in the message about a damaged object keeps its number.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.archive import exp_ids
from gozen.archive.exp_ids import Closing, Opening, Purpose
from gozen.errors import UnreadableInput

from ..interruptions import Killed, Life, MemoryStore, Watched, interleave

NIGHT = "20261120"


def purpose(step: int = 1, attempt: int = 1, night: str = NIGHT, uid: str = "u1") -> Purpose:
    return Purpose("default", "obs", uid, step, f"obs-{step:03d}", night, attempt)


asked = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.sampled_from([NIGHT, "20261121"])), min_size=2, max_size=5
)
order = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([False, False, False, True])), max_size=60)


@settings(max_examples=300)
@given(
    asked=asked, order=order, taken=st.sets(st.integers(1, 6), max_size=3), hint=st.one_of(st.none(), st.integers(0, 9))
)
def test_no_number_is_used_twice(asked, order, taken, hint) -> None:
    store = MemoryStore()
    for number in taken:
        store.write(f"raw/{NIGHT}/{number:08d}/exposure.json", b"{}")
    if hint is not None:
        store.write("expid/latest.json", f'{{"exposureId": {hint}}}'.encode())
    wishes = [purpose(*one) for one in asked]
    lives = [Life(lambda wish=wish: exp_ids.reserve(Watched(store), 1, wish)) for wish in wishes]
    interleave(lives, order)
    given_to: dict[int, set[tuple[int, int]]] = {}
    for wish, life in zip(wishes, lives, strict=True):
        number = exp_ids.reserve(store, 1, wish)
        assert life.result in (Killed, number)
        assert exp_ids.reserve(store, 1, wish) == number
        assert not (number in taken and exp_ids.read_purpose(store, number).night == NIGHT)
        assert exp_ids.read_purpose(store, number).step == wish.step
        given_to.setdefault(number, set()).add((wish.step, wish.attempt))
    assert all(len(who) == 1 for who in given_to.values())
    assert len(given_to) == len({(wish.step, wish.attempt) for wish in wishes})


@given(order=order)
def test_a_shutter_opens_once_under_a_number(order) -> None:
    store = MemoryStore()
    lives = [
        Life(lambda name=name: exp_ids.open_shutter(Watched(store), 7, Opening("2026-11-20T12:00:00Z", name)))
        for name in ("a", "b", "c")
    ]
    interleave(lives, order)
    opened = [name for name, life in zip("abc", lives, strict=True) if life.result is True]
    assert len(opened) <= 1
    if opened:
        assert exp_ids.read_opening(store, 7).session == opened[0]


@given(order=order)
def test_one_ending_stands(order) -> None:
    store = MemoryStore()
    endings = [Closing("taken", "Taken", "", ("111",)), Closing("lost", "Interrupted", "the process ended")]
    lives = [Life(lambda one=one: exp_ids.close(Watched(store), 7, one)) for one in endings]
    interleave(lives, order)
    stands = exp_ids.close(store, 7, endings[0])
    assert {life.result for life in lives} - {Killed} <= {stands}


def test_numbers_go_on_from_the_hint_and_another_uid_is_another_exposure() -> None:
    store = MemoryStore()
    assert [exp_ids.reserve(store, 40, purpose(step)) for step in (1, 2, 1)] == [40, 41, 40]
    assert exp_ids.reserve(store, 1, purpose(1, uid="u2")) == 42
    assert exp_ids.reserve(store, 1, purpose(1, attempt=2)) == 43
    assert sorted(store.list("expid/by-name")) == [
        "expid/by-name/default/obs-001/u1-1.json",
        "expid/by-name/default/obs-001/u1-2.json",
        "expid/by-name/default/obs-001/u2-1.json",
        "expid/by-name/default/obs-002/u1-1.json",
    ]


def test_the_exposure_taken_last_is_that_of_the_nearest_lower_number_with_data() -> None:
    store = MemoryStore()
    assert exp_ids.last_taken(store, 1) is None
    openings = {n: Opening(f"2026-11-20T12:00:0{n}Z", "a", f"2026-11-20T12:00:0{n + 1}Z") for n in (1, 3, 6)}
    for number, opening in openings.items():
        exp_ids.open_shutter(store, number, opening)
    exp_ids.close(store, 1, Closing("taken", "Taken", "", ("111",)))
    exp_ids.close(store, 3, Closing("lost", "Interrupted"))
    assert exp_ids.last_taken(store, 3) == openings[1]
    assert exp_ids.last_taken(store, 6) == openings[1]  # 4 and 5 were reserved and never opened
    assert exp_ids.last_taken(store, 7) == openings[1]  # 6 was opened, and nothing tells that it has data
    assert exp_ids.reserve(store, 6, purpose()) == 6
    store.write("raw/20261120/00000006/exposure.json", b"{}")
    assert exp_ids.last_taken(store, 7) == openings[6]
    assert exp_ids.last_taken(store, 100) is None


def test_many_exposures_that_were_lost_do_not_hide_the_one_before_them() -> None:
    store = MemoryStore()
    for number in range(1, 40):
        exp_ids.open_shutter(store, number, Opening("2026-11-20T12:00:00Z", str(number)))
        exp_ids.close(store, number, Closing("taken" if number == 1 else "lost", "Interrupted"))
    assert exp_ids.last_taken(store, 40).session == "1"


BY_NAME = "expid/by-name/default/obs-001/u1-1.json"


@pytest.mark.parametrize("damage", [b"{}", b"{", b"[]", b'{"a": 1}'])
@pytest.mark.parametrize(
    ("key", "good"),
    [
        (BY_NAME, {"exposureId": 7}),
        ("expid/00000007.json", asdict(purpose())),
        ("expid/opened/00000007.json", {"start": "2026-11-20T12:00:00Z", "session": "a", "ends": ""}),
        ("expid/closed/00000007.json", {"result": "lost", "why": "Interrupted", "message": "", "sensors": []}),
    ],
)
def test_a_damaged_object_is_repaired_with_the_fields_that_its_message_names(key, good, damage) -> None:
    store = MemoryStore()
    assert exp_ids.reserve(store, 7, purpose()) == 7
    assert exp_ids.open_shutter(store, 7, Opening("2026-11-20T12:00:00Z", "a"))
    exp_ids.close(store, 7, Closing("lost", "Interrupted"))

    def read() -> tuple[object, ...]:
        number = exp_ids.reserve(store, 7, purpose())
        return number, exp_ids.purpose_given(store, 7), exp_ids.read_opening(store, 7), exp_ids.read_closing(store, 7)

    before = read()
    store.write(key, damage)
    with pytest.raises(UnreadableInput) as raised:
        read()
    said = str(raised.value)
    assert f"fields {', '.join(good)}. Do not remove it" in said
    assert "move it away" not in said
    store.write(key, json.dumps(good).encode())
    assert read() == before


def test_a_number_whose_reservation_was_removed_is_an_error_that_names_the_object() -> None:
    store = MemoryStore()
    exp_ids.reserve(store, 7, purpose())
    store.delete("expid/00000007.json")
    with pytest.raises(UnreadableInput, match=r"00000007\.json does not exist, but an exposure has this EXP_ID"):
        exp_ids.purpose_given(store, 7)
