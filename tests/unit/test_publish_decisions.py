"""What a publication does with each file and share, and its note, without a server.

Covered: files of people, of this and of earlier runs; shares of people and of other publications; links; damaged notes.
Not covered: carrying it out (services/test_publish_folder.py).
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gozen.errors import UnreadableInput
from gozen.sharing.file_listing import Entry
from gozen.sharing.people.rights import Rights
from gozen.sharing.people.share_records import Share
from gozen.sharing.publishing.decide_files import FileStep, is_ours, left_over, step_for
from gozen.sharing.publishing.decide_shares import SharingWish, share_steps
from gozen.sharing.publishing.published_record import (
    LinkProperties,
    PublishedRecord,
    is_record,
    read_published,
    record_name,
    records_folder,
)

NEW, OLD, THEIRS = "SHA256:a", "SHA256:b", "SHA256:c"
FILE = Entry("M31/a.csv", is_folder=False, size=1, etag='"e"')
SORA, SKY = ("user", "sora"), ("group", "sky")
MINE = PublishedRecord("kiso/tonight", {"a.csv": frozenset({OLD})}, frozenset({SORA}), LinkProperties(30))


@pytest.mark.parametrize(
    ("there", "step"),
    [
        (None, FileStep.SEND),
        (replace(FILE, checksum=NEW), FileStep.EQUAL),
        (replace(FILE, checksum=OLD), FileStep.SEND),
        (replace(FILE, checksum=THEIRS), FileStep.KEEP),
        (FILE, FileStep.KEEP),
        (replace(FILE, is_folder=True), FileStep.KEEP),
    ],
)
def test_what_happens_to_a_file(there: Entry | None, step: FileStep) -> None:
    assert step_for(NEW, there, {OLD}) is step


def test_only_our_own_files_are_removed() -> None:
    assert left_over(["b", "c"], {"a": (), "b": ()}) == ["a"]
    assert is_ours(replace(FILE, checksum=OLD), {OLD})
    assert not is_ours(replace(FILE, checksum=THEIRS), {OLD})
    assert not is_ours(FILE, {OLD, ""} - {""})
    assert not is_ours(replace(FILE, checksum=OLD, is_folder=True), {OLD})


def share(kind: str, who: str, rights: Rights = Rights.READ, **further: object) -> Share:
    return Share(f"{kind} {who}", kind, "M31", folder=True, who=who, name=who, rights=rights, **further)  # type: ignore[arg-type]


def link(number: str, label: str = MINE.of, *, password: bool = False) -> Share:
    found = share("link", "anyone", label=label, password=password)
    return replace(found, id=number)


def test_receivers_are_added_and_those_of_people_left_alone() -> None:
    wish = SharingWish(frozenset({SORA, SKY, ("user", "kaze")}))
    present = [share("user", "kaze", Rights(15)), share("user", "sora")]
    steps = share_steps(wish, MINE, [], present, MINE.of)
    assert (steps.make, steps.owned, steps.wished, steps.withdraw) == ([SKY], {SORA}, {SKY}, [])
    assert share_steps(SharingWish(), MINE, [], present, MINE.of).withdraw == [share("user", "sora")]


def test_rights_of_our_own_shares_become_reading() -> None:
    steps = share_steps(SharingWish(frozenset({SORA})), MINE, [], [share("user", "sora", Rights(15))], MINE.of)
    assert steps.make == [SORA]


def test_what_another_publication_needs_is_not_withdrawn() -> None:
    other = PublishedRecord("kiso/before", made=frozenset({SORA, SKY}))
    present = [share("user", "sora"), share("group", "sky")]
    assert share_steps(SharingWish(), MINE, [other], present, MINE.of).withdraw == []
    steps = share_steps(SharingWish(frozenset({SKY})), replace(MINE, made=frozenset()), [other], present, MINE.of)
    assert (steps.make, steps.owned) == ([], {SKY})  # so it stays when the other one is removed


def test_a_link_is_kept_if_it_is_as_wished() -> None:
    wish = SharingWish(frozenset({SORA}), LinkProperties(30))
    present = [share("user", "sora"), link("10"), link("9"), link("1", "for the referee")]
    steps = share_steps(wish, MINE, [], present, MINE.of)
    assert (steps.link, steps.withdraw) == (link("9"), [link("10")])
    for other in (LinkProperties(3), LinkProperties(30, password=True), LinkProperties()):
        steps = share_steps(replace(wish, link=other), MINE, [], present, MINE.of)
        assert (steps.link, steps.withdraw) == (None, [link("9"), link("10")])
    assert share_steps(wish, replace(MINE, link=None), [], present, MINE.of).link is None
    assert share_steps(replace(wish, link=None), MINE, [], present, MINE.of).withdraw == [link("9"), link("10")]


def test_somebody_took_the_password_off() -> None:
    wish = SharingWish(link=LinkProperties(30, password=True))
    steps = share_steps(wish, replace(MINE, link=wish.link), [], [link("9")], MINE.of)
    assert (steps.link, steps.withdraw) == (None, [link("9")])


def test_a_note_is_read_as_it_was_written() -> None:
    for one in (MINE, replace(MINE, wished=frozenset({SKY})), PublishedRecord("観測/tonight")):
        assert read_published(one.to_json(), "M31/x") == one
        assert is_record(record_name(one.of))
    assert record_name("kiso/tonight") != record_name("kiso/before")
    assert records_folder("M31") != records_folder("M33")
    assert not is_record("tonight.csv")


def test_a_note_of_an_earlier_version_is_read() -> None:
    earlier = json.loads(MINE.to_json())
    del earlier["wished"]
    assert read_published(json.dumps(earlier).encode(), "M31/x") == MINE


def test_a_share_that_another_publication_is_about_to_need_is_not_withdrawn() -> None:
    other = PublishedRecord("kiso/before", wished=frozenset({SORA}))
    steps = share_steps(SharingWish(), MINE, [other], [share("user", "sora")], MINE.of)
    assert (steps.withdraw, steps.kept_back, steps.retained) == ([], {SORA}, {SORA: other.of})


@pytest.mark.parametrize(("rights", "owned"), [(Rights.READ, {SORA}), (Rights(15), set())])
def test_after_a_kill_only_a_share_that_reads_may_be_our_own(rights: Rights, owned: set[tuple[str, str]]) -> None:
    mine = replace(MINE, made=frozenset(), wished=frozenset({SORA}))
    steps = share_steps(SharingWish(frozenset({SORA})), mine, [], [share("user", "sora", rights)], MINE.of)
    assert (steps.make, steps.owned) == ([], owned)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"version": 2}).encode(),
        b'{"version": 1, "link": 3}',
    ],
)
def test_a_damaged_note_is_named(data: bytes) -> None:
    with pytest.raises(
        UnreadableInput, match=r"^M31/x in Nextcloud is not a note of Gozen .* restore an earlier version"
    ):
        read_published(data, "M31/x")
