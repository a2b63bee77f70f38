"""Test the parts of transfers: notes, files that change while they are read, partial downloads, threads with tasks."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from gozen.errors import BadRequest, CloudConflict, CloudUnavailable, StorageUnavailable, TransferDamaged
from gozen.settings import SharingSettings
from gozen.sharing.account import Account
from gozen.sharing.answers import Answer
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.current_account import PASSWORD, current_account
from gozen.sharing.file_listing import Entry
from gozen.sharing.pauses import Clock, Gate, Stopped
from gozen.sharing.retrying import ConnectionLimits, FailedAttempt
from gozen.sharing.transfers.compare import LastTransfer
from gozen.sharing.transfers.local_file import BLOCK, LocalFile
from gozen.sharing.transfers.partial_download import PartialDownload, complete_lines, is_partial, partials_in
from gozen.sharing.transfers.transfer_notes import TransferNotes, UploadNote
from gozen.sharing.transfers.workers import Crew, Task

ANNA = Account("https://cloud.example.org", "anna", "p")
STATE = LastTransfer(10, 123, '"a"')


def test_notes_are_found_again_by_account_folder_name_and_path(tmp_path: Path) -> None:
    TransferNotes(tmp_path, ANNA).of_folder(Path("/data")).add("a.csv", "night/a.csv", STATE)
    found = TransferNotes(tmp_path, ANNA).of_folder(Path("/data"))
    assert found.last("a.csv", "night/a.csv") == STATE
    assert found.last("a.csv", "other/a.csv") is None
    assert TransferNotes(tmp_path, ANNA).of_folder(Path("/other")).last("a.csv", "night/a.csv") is None
    berta = Account("https://cloud.example.org", "berta", "p")
    assert TransferNotes(tmp_path, berta).of_folder(Path("/data")).last("a.csv", "night/a.csv") is None


def test_a_note_that_a_kill_has_cut_costs_only_itself(tmp_path: Path) -> None:
    notes = TransferNotes(tmp_path, ANNA).of_folder(Path("/data"))
    notes.add("a", "a", STATE)
    notes.add("b", "b", STATE)
    (file,) = (tmp_path / "folders").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    TransferNotes(tmp_path, ANNA).of_folder(Path("/data")).add("c", "c", STATE)
    found = TransferNotes(tmp_path, ANNA).of_folder(Path("/data"))
    assert [found.last(name, name) for name in "abc"] == [STATE, None, STATE]


def test_a_file_of_notes_does_not_grow_without_end(tmp_path: Path) -> None:
    for number in range(1500):
        if number % 500 == 0:
            notes = TransferNotes(tmp_path, ANNA).of_folder(Path("/data"))
        notes.add("a", "a", LastTransfer(1, number, "x"))
    notes = TransferNotes(tmp_path, ANNA).of_folder(Path("/data"))
    assert notes.last("a", "a") == LastTransfer(1, 1499, "x")
    (file,) = (tmp_path / "folders").iterdir()
    assert len(file.read_bytes().splitlines()) < 10


def test_an_unfinished_upload_is_noted_and_forgotten(tmp_path: Path) -> None:
    notes, note = TransferNotes(tmp_path, ANNA), UploadNote("gozen-1", 5, 6, 7)
    assert notes.unfinished(Path("/a"), "a") is None
    notes.begin(Path("/a"), "a", note)
    assert notes.unfinished(Path("/a"), "a") == note
    assert notes.unfinished(Path("/a"), "b") is None
    for file in (tmp_path / "uploads").iterdir():
        file.write_text('{"folder": "x"}')
    assert notes.unfinished(Path("/a"), "a") is None
    notes.end(Path("/a"), "a")
    notes.end(Path("/a"), "a")
    assert list((tmp_path / "uploads").iterdir()) == []


def at_rest(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    os.utime(path, (1, 1))
    return path


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written"])
def test_a_file_that_changes_is_not_sent_to_its_end(change: str, tmp_path: Path) -> None:
    path = at_rest(tmp_path / "a", bytes(3 * BLOCK))
    with LocalFile(path) as file:
        pieces = iter(file.part(0, file.state.size))
        sent = [next(pieces)]
        path.write_bytes(bytes({"grows": 4 * BLOCK, "shrinks": BLOCK, "is written": 3 * BLOCK}[change]))
        with pytest.raises(TransferDamaged, match="changed while it was read"):
            sent.extend(pieces)
    assert len(sent) < 3


def test_parts_can_be_read_again_and_are_counted_once(tmp_path: Path) -> None:
    data = os.urandom(2 * BLOCK + 5)
    moved: list[int] = []
    with LocalFile(at_rest(tmp_path / "a", data)) as file:
        part = file.part(3, len(data), moved.append)
        assert b"".join(part) == b"".join(part) == data[3:]
        assert (part.length, sum(moved)) == (len(data) - 3, len(data) - 3)


def test_a_file_that_never_rests_or_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.touch()
    monkeypatch.setattr("gozen.archive.stores.directory_store.time.sleep", lambda _: None)
    monkeypatch.setattr("gozen.archive.stores.directory_store.time.time_ns", lambda: path.stat().st_mtime_ns + 1)
    with pytest.raises(StorageUnavailable, match="keeps writing"), LocalFile(path):
        pass
    with pytest.raises(Exception, match="no such file"), LocalFile(tmp_path / "b"):
        pass


ENTRY = Entry("night/a", is_folder=False, size=10, etag='"1"', modified_s=1000.0)


def test_a_download_has_another_name_until_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with PartialDownload(target, ENTRY, 4) as into:
        into.write(b"0123456789", 0)
        assert not target.exists()
        assert all(is_partial(one.name) for one in tmp_path.iterdir())
        into.publish(ENTRY.modified_s)
    assert target.read_bytes() == b"0123456789"
    assert target.stat().st_mtime == 1000.0
    assert list(tmp_path.iterdir()) == [target]


def test_segments_are_on_the_disk_before_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[int] = []
    into = PartialDownload(tmp_path / "a", ENTRY, 4)
    monkeypatch.setattr(os, "fsync", lambda _: listed.append(len(into.done)))
    for known in (set(), {0, 2}):
        with into:
            assert into.done == known
            into.write(b"01234567", 0)
            into.complete(0)
            into.write(b"89", 8)
            into.complete(2)
        into = PartialDownload(tmp_path / "a", ENTRY, 4)
    assert listed == [0, 1, 2, 2]


def test_a_list_of_segments_without_the_file_or_with_a_cut_line_is_not_trusted(tmp_path: Path) -> None:
    with PartialDownload(tmp_path / "a", ENTRY, 4) as into:
        into.write(b"01234567", 0)
        into.complete(1)
        into.complete(2)
    with PartialDownload(tmp_path / "a", ENTRY, 4) as into:
        assert into.done == {1}  # the file ends before the end of the last segment
    into.path.unlink()
    with PartialDownload(tmp_path / "a", ENTRY, 4) as into:
        assert into.done == set()
        into.write(b"89", 8)  # the file is as long as the target again, with a hole
        into.complete(2)
    with PartialDownload(tmp_path / "a", ENTRY, 4) as into:
        assert into.done == {2}
    assert complete_lines(b"00000001\n0000001") == {1}
    assert complete_lines(b"000000000001\n\0\0\n00000012\nx\n") == {12}


def test_parts_of_another_state_of_the_file_are_removed(tmp_path: Path) -> None:
    with PartialDownload(tmp_path / "a", ENTRY, 4) as old:
        old.complete(0)
    with PartialDownload(tmp_path / "b", ENTRY, 4):
        pass
    changed = Entry("night/a", is_folder=False, size=10, etag='"2"')
    with PartialDownload(tmp_path / "a", changed, 4) as into:
        into.sweep(partials_in(tmp_path))
        assert into.done == set()
    other = PartialDownload(tmp_path / "b", ENTRY, 4).path
    assert {one.name for one in tmp_path.iterdir()} == {into.path.name, other.name}


def test_two_processes_do_not_fill_one_file(tmp_path: Path) -> None:
    with (
        PartialDownload(tmp_path / "a", ENTRY, 100),
        pytest.raises(CloudConflict, match="another process"),
        PartialDownload(tmp_path / "a", ENTRY, 100),
    ):
        pass


def test_a_download_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            ending.close()

    with contextlib.ExitStack() as ending:
        ending.enter_context(PartialDownload(tmp_path / "a", ENTRY, 100))
        with PartialDownload(tmp_path / "a", ENTRY, 100, wait):
            assert len(waits) == 3


def test_tasks_lead_to_tasks_and_only_a_few_exist_at_a_time() -> None:
    computed, done, lock, ahead = [0], [0], threading.Lock(), []

    def leaf() -> None:
        with lock:
            done[0] += 1
            ahead.append(computed[0] - done[0])

    def folder(depth: int) -> Iterable[Task]:
        for _ in range(10):
            computed[0] += 1
            yield leaf if depth == 0 else lambda: inner(depth)

    def inner(depth: int) -> Iterable[Task]:
        with lock:
            done[0] += 1
        return folder(depth - 1)

    Crew(3, threading.Event()).run(folder(2))
    assert done[0] == computed[0] == 1110
    assert max(ahead) < 10


def test_the_first_error_ends_all_tasks() -> None:
    begun: list[int] = []

    def task(number: int) -> Task:
        def act() -> None:
            begun.append(number)
            if number == 5:
                raise ValueError("five")

        return act

    with pytest.raises(ValueError, match="five"):
        Crew(2, threading.Event()).run(task(number) for number in range(1000))
    assert len(begun) < 20


def test_an_error_of_what_computes_tasks_is_raised() -> None:
    def tasks() -> Iterator[Task]:
        yield lambda: None
        raise OSError("no folder")

    with pytest.raises(OSError, match="no folder"):
        Crew(2, threading.Event()).run(tasks())


def test_tasks_end_when_the_work_is_stopped() -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        Crew(2, stop).run(stop.set for _ in iter(int, 1))


def test_threads_that_have_begun_end_if_the_others_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, begun, start = threading.Event(), [], threading.Thread.start

    def second_fails(thread: threading.Thread) -> None:
        if begun:
            raise KeyboardInterrupt
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    with pytest.raises(KeyboardInterrupt):
        Crew(2, stop).run((lambda: None) for _ in iter(int, 1))
    was_told = stop.is_set()
    stop.set()
    begun[0].join(60)
    assert was_told


def test_the_account_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    (tmp_path / "password").write_text("from-a-file\n")
    settings = SharingSettings(url="cloud.example.org", user="anna", password_file=tmp_path / "password")
    assert current_account(settings) == Account("https://cloud.example.org", "anna", "from-a-file")
    monkeypatch.setenv(PASSWORD, "from-the-environment")
    assert current_account(settings).password == "from-the-environment"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"user": "anna"}, r"sharing\.url .GOZEN_SHARING__URL., an app password in GOZEN_NEXTCLOUD_PASSWORD"),
        ({"url": "cloud.example.org", "user": "anna", "password_file": "/nowhere"}, "cannot read the app password"),
    ],
)
def test_what_is_missing_of_an_account_is_named(
    settings: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(BadRequest, match=why):
        current_account(SharingSettings.model_validate(settings))


def test_all_threads_wait_for_a_server_that_is_overloaded() -> None:
    now, waits, stop = [100.0], [], threading.Event()

    def wait(seconds: float, _stop: threading.Event) -> None:
        waits.append(seconds)
        now[0] += seconds

    gate = Gate(Clock(lambda: now[0], wait))
    gate.wait(stop)
    gate.wait(stop, 2.0)
    gate.shut(7.0)
    gate.wait(stop)
    gate.wait(stop)
    assert waits == [2.0, 7.0]
    stop.set()
    with pytest.raises(Stopped):
        gate.wait(stop)


@pytest.mark.parametrize(("asked_s", "pauses"), [(7.0, [7.0]), (9999.0, [])])
def test_the_others_wait_too_unless_the_server_asks_for_too_much(
    asked_s: float, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    failure = FailedAttempt(503, retry_after_s=asked_s)
    monkeypatch.setattr(Connection, "_once", lambda *_: (failure, Answer(503), None))
    limits = ConnectionLimits(attempts=1)
    connection = Connection(ANNA, limits, clock=Clock(lambda: sum(waits), lambda seconds, _: waits.append(seconds)))
    for _ in range(2):
        with pytest.raises(CloudUnavailable):
            connection.request("GET", "a", subject="a", doing="download")
    assert waits == pauses


def test_a_request_that_waits_for_its_turn_notices_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str | float] = []
    now, began, go_on = [0.0], threading.Event(), threading.Event()

    def wait(seconds: float, _stop: threading.Event) -> None:
        happened.append(seconds)
        now[0] += seconds

    def once(_self: object, _method: str, url: str, *_: object) -> tuple[FailedAttempt, Answer, None]:
        happened.append(url)
        if happened == ["a"]:
            began.set()
            assert go_on.wait(60)
            return FailedAttempt(429, retry_after_s=7.0), Answer(429), None
        return FailedAttempt(200), Answer(200), None

    monkeypatch.setattr(Connection, "_once", once)
    connection = Connection(ANNA, ConnectionLimits(connections=1), clock=Clock(lambda: now[0], wait))

    def ask(url: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: connection.request("GET", url, subject=url, doing="download"))
        thread.start()
        return thread

    first = ask("a")
    assert began.wait(60)
    second = ask("b")
    second.join(0.1)  # long enough to do something wrong
    go_on.set()
    first.join()
    second.join()
    assert happened[:2] == ["a", 7.0]
    assert set(happened[2:]) - {7.0} == {"a", "b"}
