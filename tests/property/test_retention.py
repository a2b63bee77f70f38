"""Raw files that one process removes while another retains, reduces or removes them: no promised file is lost.

Covered: `expire`, `forget`, tags, and moving files to another exposure, each interrupted before each of its calls of
the archive by a complete run of another process. Not covered: which files may expire (unit/test_raw_expiry), and how a
bucket removes tagged files (services/test_ceph_bucket).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from tests.unit.archive_samples import NIGHT, commit, processing_of
from tests.unit.test_exposure_grouping import PROFILE

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.keys import frame_id_of
from gozen.archive.provenance import Provenance
from gozen.archive.raw.expiry import expire, night_end
from gozen.archive.raw.exposure_record import RawExposure, raw_exposures, read_record, record_exposure
from gozen.archive.raw.forget import check_not_forgotten, forget
from gozen.archive.raw.reduced_tags import REDUCED, mark_reduced, refresh
from gozen.archive.raw.removal_notes import removal_noted
from gozen.archive.raw.retain import release, retain
from gozen.errors import BadRequest, GozenError, MissingObject, StorageUnavailable
from gozen.frames.incoming_files import read_arrivals
from gozen.frames.take_in import take_in
from gozen.instrument.profile import parse_profile

from ..interruptions import Life, MemoryStore, Watched
from .test_arrivals_in_portions import write

LATE = night_end(NIGHT) + timedelta(days=8)
NOW = datetime(2024, 1, 20, tzinfo=UTC)
NAMES = ("f-1", "f-2", "f-3")
CAMERA = parse_profile(PROFILE, "tiny")


class TaggedStore(MemoryStore):
    """A store whose objects bear tags, as in a bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, Mapping[str, str]] = {}

    @property
    def has_tags(self) -> bool:
        return True

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        if key not in self.objects:
            raise MissingObject(key)
        self.tags[key] = tags


def reduced(run: str = "r1", *, retain_raw: bool = False, names: tuple[str, ...] = NAMES):
    inputs = {f"{name}.fits": "a" * 64 for name in names}
    provenance = Provenance(code_version="0", inputs=inputs)
    return commit(run=run, frame_id=names[0], provenance=provenance, retain_raw=retain_raw)


def put(store: MemoryStore, *commits) -> None:
    for name in NAMES:
        store.write(keys.raw(NIGHT, "e1", name), name.encode())
    files = tuple(keys.raw(NIGHT, "e1", name) for name in NAMES)
    record_exposure(store, RawExposure(NIGHT, "e1", "M 67", "OBJECT", 60314.5, {"111": files}))
    for one in commits:
        write_commit(store, processing_of(one), one)


def held(store: MemoryStore) -> set[str]:
    return {frame_id_of(key) for key in store.list("raw") if key.endswith(".fits")}


def overtaken(
    make: Callable[[], MemoryStore], slow: Callable[[object], object], quick: Callable[[MemoryStore], object]
) -> Iterator[tuple[MemoryStore, object, object, set[str]]]:
    """Yield, for each call of the slow one, the store after both have run, what they returned, and what was held."""
    number, over = 0, False
    while not over:
        store = make()
        life = Life(lambda store=store: slow(Watched(store)))
        for _ in range(number):
            life.go()
        over = life.over
        done = quick(store)
        then = held(store)
        yield store, life.finish(), done, then
        number += 1
    assert number > 3


def attempt(work: Callable[[], object]) -> object:
    try:
        return work()
    except GozenError as error:
        return error


def archive(kind: type[MemoryStore] = MemoryStore, *commits) -> MemoryStore:
    store = kind()
    put(store, *commits)
    return store


def remove(store) -> list:
    return expire(store, now=LATE, keep_days=7)


def keep(store) -> object:
    return attempt(lambda: retain(store, NIGHT, "e1", patience_s=0))


@pytest.mark.parametrize("kind", [MemoryStore, TaggedStore])
def test_files_that_retain_says_are_kept_are_kept(kind: type[MemoryStore]) -> None:
    answers = []
    for store, fates, said, then in overtaken(partial(archive, kind, reduced()), remove, keep):
        if isinstance(said, StorageUnavailable):
            assert "run this command again to see how many remain" in str(said)
            answers.append("not known")
        else:
            assert held(store) == then
            assert said.kept == len(then)
            assert {frame_id_of(key) for key in said.gone} == set(NAMES) - then
            answers.append(said.kept)
        assert {frame_id_of(one.key) for one in fates if one.fate == "expired"} == set(NAMES) - held(store)
        again = keep(store)
        assert (again.kept, len(again.gone)) == (len(held(store)), 3 - len(held(store)))
    assert answers[0] == 3
    assert answers[-1] == 0
    assert "not known" in answers


def test_a_removal_ends_where_a_file_is_retained_meanwhile() -> None:
    """All that is lost after the marker is the one file whose removal has been decided."""
    for store, _, _, then in overtaken(partial(archive, MemoryStore, reduced()), remove, keep):
        assert len(then - held(store)) <= 1


def test_a_commit_that_retains_and_comes_meanwhile_is_seen() -> None:
    late = reduced("r2", retain_raw=True)
    for store, _, _, then in overtaken(
        partial(archive, MemoryStore, reduced()), remove, lambda store: write_commit(store, processing_of(late), late)
    ):
        assert len(then - held(store)) <= 1


def test_a_commit_that_came_too_late_to_retain_says_so(caplog: pytest.LogCaptureFixture) -> None:
    late = reduced("r2", retain_raw=True)
    raw = [keys.raw(NIGHT, "e1", name) for name in NAMES]

    def commit_it(store: MemoryStore) -> bool:
        caplog.clear()
        write_commit(store, processing_of(late), late)
        mark_reduced(store, late, raw)
        return "are retained, but" in caplog.text

    for store, _, warned, _ in overtaken(partial(archive, MemoryStore, reduced()), remove, commit_it):
        assert warned or held(store) == set(NAMES)


def test_a_retention_waits_for_a_removal_that_has_begun() -> None:
    store = archive(MemoryStore, reduced())
    removal = Life(lambda: remove(Watched(store)))
    while not store.list(f"raw/{NIGHT}/e1/removing"):
        removal.go()
    found = retain(store, NIGHT, "e1", sleep=lambda _: removal.go())
    removal.finish()
    assert len(held(store)) == found.kept > 0


def test_the_note_of_a_killed_removal_is_forgotten_after_a_day() -> None:
    store = archive(MemoryStore, reduced())
    removal = Life(lambda: remove(Watched(store)))
    while not (notes := store.list(f"raw/{NIGHT}/e1/removing")):
        removal.go()
    text = store.read(notes[0])
    removal.kill()
    store.write(notes[0], text)  # SIGKILL ends it without a farewell
    assert isinstance(keep(store), StorageUnavailable)
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    assert retain(store, NIGHT, "e1", clock=lambda: tomorrow).kept == 3
    with removal_noted(store, NIGHT, "e1", tomorrow):
        assert len(store.list(f"raw/{NIGHT}/e1/removing")) == 1
    assert store.list(f"raw/{NIGHT}/e1/removing") == []


@pytest.mark.parametrize("tagging", ["after the commit", "of the whole archive"])
def test_what_is_retained_while_it_is_tagged_bears_no_tag(tagging: str) -> None:
    one = reduced()
    raw = [keys.raw(NIGHT, "e1", name) for name in NAMES]
    slow = (lambda store: mark_reduced(store, one, raw)) if tagging == "after the commit" else refresh
    for store, _, _, _ in overtaken(partial(archive, TaggedStore, one), slow, keep):
        assert not [key for key, tags in store.tags.items() if tags == REDUCED]


def test_what_may_expire_again_bears_the_tag() -> None:
    store = archive(TaggedStore, reduced())
    keep(store)
    assert release(store, NIGHT, "e1") == 3
    assert list(store.tags.values()) == [REDUCED] * 3


@pytest.mark.parametrize("named", [("f-1",), ("f-2", "f-3"), NAMES])
def test_what_is_reduced_while_it_is_taken_out_stays(named: tuple[str, ...]) -> None:
    def reduce(store: MemoryStore) -> object:
        try:
            there = [store.read(keys.raw(NIGHT, "e1", name)) for name in named]
            check_not_forgotten(store, NIGHT, "e1", [keys.raw(NIGHT, "e1", name) for name in named])
        except GozenError as error:
            return error
        assert len(there) == len(named)
        return write_commit(store, processing_of(one), one)

    one = reduced(names=named)
    for store, said, done, _ in overtaken(
        archive, lambda store: attempt(lambda: forget(store, NIGHT, "e1", [], now=NOW)), reduce
    ):
        record = read_record(store, NIGHT, "e1")
        assert record is not None
        assert {frame_id_of(key) for files in record.sensors.values() for key in files} == held(store)
        if isinstance(done, GozenError):
            assert not isinstance(said, GozenError)
            assert held(store) == set()
        else:
            assert isinstance(said, BadRequest)
            assert "is not removed: the commit" in str(said)
            assert held(store) >= set(named)


@pytest.mark.parametrize("why", ["retained", "reduced"])
def test_files_that_are_to_move_stay_where_they_are_retained_or_reduced_meanwhile(
    why: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = {"OBJECT": "M 67", "FILTER": "R", "DEC": 20.0, "CHIP": "1"}
    early, late = write(tmp_path_factory.mktemp("shots"), [{**words, "step": 7}, {**words, "step": 9000}])
    night, first = "20240301", "raw/20240301/m-67/1.fits"

    def take(store: object, path: object) -> object:
        return attempt(lambda: take_in(store, CAMERA, read_arrivals([path], CAMERA)[0]))

    def begun() -> MemoryStore:
        store = MemoryStore()
        take(store, late)
        return store

    def fix(store: MemoryStore) -> bool:
        was_there = store.exists(first)
        if why == "retained":
            attempt(lambda: retain(store, night, "m-67", patience_s=0))
        elif was_there:
            one = commit("m-67", "1", night=night, frame_id="1")
            write_commit(store, processing_of(one), one)
        return was_there

    stayed = 0
    for store, _, fixed, _ in overtaken(begun, lambda store: take(store, early), fix):
        take(store, early)  # where it was refused it is run again
        places = {key: one.exposure for one in raw_exposures(store, night) for key in one.sensors.get("1", ())}
        bodies = {store.read(key) for key in places}
        assert bodies == {early.read_bytes(), late.read_bytes()}
        assert len(places) == 2
        if fixed and store.exists(first) and store.read(first) == late.read_bytes():
            assert places[first] == "m-67"
            stayed += 1
        else:
            assert not fixed
    assert stayed > 3
