"""Commits, appends and look-ups with random S3 faults: nothing half-written, lost or duplicated.

Each history has, at the same time, two pods that reduce one sensor, one or two appends to one table, sometimes two
observers that reserve numbers, and a reader, all through `tests.services.fault_proxy`. Each tries again after
`StorageUnavailable`, as Kubernetes does after exit code 75; any other error fails the test. Then the faults end, and
everything is compared with the expected content. In some histories each fault happens once to each verb; in the others
a seed decides.

The number of histories is in tests/effort.py. ``GOZEN_SEED`` replays a failure, whose message names it. Not covered:
processes that are killed (test_killed).
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa
import pytest
from botocore.retries import standard
from tests.catalog_samples import IDENTITY, Field, directory_rows, field_of, identities, rows_of
from tests.effort import EVERYTHING, SEED, rounds
from tests.unit.archive_samples import commit as sample

from gozen.archive import exp_ids, keys
from gozen.archive.commit import Outcome, SensorCommit, load_commit, put_product, write_commit
from gozen.archive.exp_ids import Opening, Purpose
from gozen.archive.inventory import nights_of_commits, verify
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.log.search_log import search_exposures
from gozen.archive.stores import s3_upload
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.s3_store import S3Store
from gozen.catalog import open_catalog
from gozen.catalog.write.append import append_night
from gozen.errors import StorageUnavailable

from .fault_proxy import Fault, FaultProxy, Trouble, quiet
from .s3_server import S3Server

HISTORIES = "histories of a failing S3"
PARTS = 2
EVERY = {"GET": 5, "PUT": 5, "POST": 2, "DELETE": 2}
"""The verbs that our store sends, and which request for each of them meets a fault."""
MOST_HISTORIES = 40
LARGE = bytes(11 * 2**20)
PATIENCE = 200
NIGHTS = (20240101, 20240102)
SENSOR = "111"
LOOK_S = 0.3

log = logging.getLogger(__name__)
Row = tuple[object, ...]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """One append: an exposure, with its run and sensors."""

    stars: Field
    night: int
    exposure: str
    run: str
    sensors: tuple[int, ...]

    def tables(self) -> list[pa.Table]:
        """Return its rows."""
        return [rows_of(self.stars, self.night, self.exposure, self.run, one, frames=1) for one in self.sensors]


@dataclass
class World:
    """The archive of one history, seen through the line and from behind it."""

    name: str
    far: S3Store
    near: DirectoryStore
    seen: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def patiently(self, do: Callable[[S3Store], Result]) -> Result:
        """Do something as a pod does that is tried again after exit code 75, each time from the beginning."""
        for _ in range(PATIENCE):
            try:
                return do(self.far)
            except StorageUnavailable:
                self.seen["exit 75"] += 1
        raise AssertionError(f"{self.name}: no end after {PATIENCE} attempts")


def steps_of(rng: random.Random, stars: Field, exposure: str) -> list[Step]:
    """Draw what one of the appends brings: an exposure; maybe more of its sensors later, or a correction."""
    night = rng.choice(NIGHTS)
    steps = [Step(stars, night, exposure, "r1", rng.choice([(111,), (112,), (111, 112)]))]
    if rng.random() < 0.3:
        steps.append(Step(stars, night, exposure, rng.choice(["r1", "r2"]), (111, 112)))
    return steps


def states_of(steps: Sequence[Step]) -> dict[tuple[int, str], list[list[Row]]]:
    """Return, for each exposure of a night, the rows that a reader may find, in the order in which they came."""
    states: dict[tuple[int, str], list[list[Row]]] = {}
    for step in steps:
        found = sorted(row for table in step.tables() for row in identities(table))
        states.setdefault((step.night, step.exposure), [[]]).append(found)
    return states


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without what is not tested here: a disk that keeps what it is given, and the waits between attempts."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.001)


@dataclass
class EachOnce:
    """Every fault for one request of every verb; between two of them some requests get through."""

    left: dict[str, list[Fault]]
    asked: Counter[str] = field(default_factory=Counter)

    def __call__(self, verb: str, path: str) -> Fault:
        """Decide."""
        self.asked[verb] += 1
        if self.asked[verb] % EVERY[verb] or not self.left[verb]:
            return Fault.NONE
        return self.left[verb].pop()


def world_of(name: str, s3: S3Server, bucket: str, proxy: FaultProxy, attempts: int) -> World:
    """Make an archive of its own."""
    folder = name.replace(" ", "-").replace(",", "")
    far = s3.store(f"s3://{bucket}/{folder}", endpoint_url=proxy.endpoint, attempts=attempts)
    # The server keeps objects as files: behind the line they are looked at as they lie.
    return World(name, far, DirectoryStore(s3.folder / bucket / folder))


def test_each_fault_at_each_verb_leaves_a_whole_archive(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "PART", 5 * 2**20)
    monkeypatch.setattr(s3_upload, "SINGLE", 5 * 2**20)
    faults = EachOnce({verb: list(Trouble("", 0).kinds) for verb in EVERY})
    bucket = s3.bucket("faults-each")
    with FaultProxy(int(s3.endpoint.rpartition(":")[2])) as proxy:
        for number in range(MOST_HISTORIES):
            proxy.choose = faults
            name = f"seed {SEED}, each {number}"
            world = world_of(name, s3, bucket, proxy, attempts=2)
            if faults.left["GET"] or faults.left["PUT"]:
                live(world, proxy, random.Random(name))
                proxy.choose = faults
            come_and_go(world, proxy)
            if not any(faults.left.values()):
                break
    assert set(faults.asked) == set(EVERY), "the store sends another verb: add it"
    assert not any(faults.left.values()), faults.left


def come_and_go(world: World, proxy: FaultProxy) -> None:
    """Put a large object in parts, and delete it."""
    world.patiently(lambda store: store.write("further/large", LARGE))
    proxy.settle()
    assert world.near.read("further/large") == LARGE, world.name
    world.patiently(lambda store: store.delete("further/large"))
    proxy.settle()
    assert not world.near.exists("further/large"), world.name


@pytest.mark.parametrize(
    "part", [pytest.param(number, marks=pytest.mark.xdist_group(f"faults {number}")) for number in range(PARTS)]
)
def test_random_faults_leave_a_whole_archive(s3: S3Server, part: int) -> None:
    bucket, met, seen = s3.bucket(f"faults-{part}"), Counter[Fault](), Counter[str]()
    with FaultProxy(int(s3.endpoint.rpartition(":")[2])) as proxy:
        for number in rounds(HISTORIES, part, PARTS):
            rng = random.Random(f"{SEED} {number}")
            share, attempts = rng.choice([0.03, 0.1, 0.25]), rng.randint(1, 3)
            # Of thirty requests that are made once each, one in four failing, hardly ever all get through.
            share = min(share, 0.1) if attempts == 1 else share
            proxy.choose = trouble = Trouble(f"{SEED} {number}", share)
            world = world_of(f"seed {SEED}, history {number}", s3, bucket, proxy, attempts)
            live(world, proxy, rng)
            met += trouble.met
            seen += world.seen
    log.info("part %d: %s; %s", part, dict(met), dict(seen))
    assert seen["exit 75"]
    assert seen["table read"]
    if EVERYTHING:
        assert set(met) == set(trouble.kinds)


def live(world: World, proxy: FaultProxy, rng: random.Random) -> None:
    """Let everybody work at once, then look at what there is."""
    stars = field_of(count=4, lone=rng.choice([0, 0, 1]), size=1.0)
    plans = [steps_of(rng, stars, exposure) for exposure in rng.choice(["1", "12"])]
    states = {name: states for plan in plans for name, states in states_of(plan).items()}
    commit = sample(exposure="e1", sensor=SENSOR, run="r1")
    sessions = "ab" if rng.random() < 0.25 else ""
    with ThreadPoolExecutor(7) as pool:
        pods = [pool.submit(reduce, world, commit) for _ in range(2)]
        writers = [pool.submit(append_all, world, plan) for plan in plans]
        numbers = [pool.submit(reserve_all, world, session) for session in sessions]
        reader = pool.submit(read_on, world, int(stars.source_id[0]), states)
        try:
            outcomes = [one.result() for one in pods]
            for one in writers:
                one.result()
            given = [one.result() for one in numbers]
        finally:
            world.over.set()
        reader.result()
    world.patiently(lambda store: rebuild_night(store, commit.night))
    proxy.settle()
    proxy.choose = quiet
    check_commits(world, commit, outcomes)
    check_numbers(world, sessions, given)
    final = sorted(row for found in states.values() for row in found[-1])
    assert identities(open_catalog(world.near, "lightcurves").table(IDENTITY)) == final, world.name
    # What came late may have put an older list of files over a newer one; any append mends that, and changes nothing.
    version = open_catalog(world.near, "lightcurves").info().version
    for plan in plans:
        assert append_night(world.near, "lightcurves", plan[-1].night, plan[-1].tables()).rows_added == 0, world.name
    assert open_catalog(world.near, "lightcurves").info().version == version, world.name
    assert identities(directory_rows(world.near.root, "lightcurves")) == final, world.name
    table = open_catalog(world.near, "lightcurves").table(["source_id"])
    assert len(set(table["source_id"].to_pylist())) == len(stars.source_id), world.name


def reduce(world: World, commit: SensorCommit) -> Outcome:
    """Put product and commit as a pod does: the commit last, nothing where there is one."""

    def once(store: Store) -> Outcome:
        processing = commit.processing
        if load_commit(store, keys.commit(processing, SENSOR)) is not None:
            return Outcome.SAME
        data = random.Random(SENSOR).randbytes(20_000)
        stack = put_product(store, keys.stack(processing, commit.frame_id), data)
        return write_commit(store, processing, commit.model_copy(update={"products": {"stack": stack}}))

    return world.patiently(once)


def check_commits(world: World, commit: SensorCommit, outcomes: Sequence[Outcome]) -> None:
    """Check that the sensor is committed, once, with its product as it was made, and stands in the log."""
    found = verify(world.near)
    assert (found.problems, found.unnamed, found.commits, found.products) == ((), (), 1, 1), world.name
    assert outcomes.count(Outcome.WRITTEN) <= 1, world.name
    assert Outcome.KEPT_FIRST not in outcomes, world.name
    assert search_exposures(world.near)["sensor"].to_pylist() == [SENSOR], world.name
    assert nights_of_commits(world.near) == [commit.night], world.name


def append_all(world: World, steps: Sequence[Step]) -> None:
    for step in steps:
        tables = step.tables()
        world.patiently(lambda store, night=step.night, new=tables: append_night(store, "lightcurves", night, new))


def reserve_all(world: World, session: str) -> list[tuple[int, bool]]:
    """Reserve a number for each of two exposures and open their shutters; return what was said."""
    said = []
    for step in range(2):
        purpose = Purpose("kiso", "survey", session, step, f"field-{step}", "20240101")
        number = world.patiently(lambda store, purpose=purpose: exp_ids.reserve(store, 1, purpose))
        opening = Opening("2024-01-01T12:00:00Z", session)
        said.append(
            (number, world.patiently(lambda store, at=number, one=opening: exp_ids.open_shutter(store, at, one)))
        )
    return said


def check_numbers(world: World, sessions: str, given: Sequence[Sequence[tuple[int, bool]]]) -> None:
    """Check that no number was given twice, and that the archive knows whose it is."""
    numbers = [number for said in given for number, _ in said]
    assert len(set(numbers)) == len(numbers), world.name
    for session, said in zip(sessions, given, strict=True):
        for step, (number, _) in enumerate(said):
            purpose, opening = exp_ids.read_purpose(world.near, number), exp_ids.read_opening(world.near, number)
            assert purpose is not None, world.name
            assert opening is not None, world.name
            assert (purpose.uid, purpose.step, opening.session) == (session, step, session), world.name


def read_on(world: World, star: int, states: dict[tuple[int, str], list[list[Row]]]) -> None:
    """Look everything up until all is done: what was seen once stays, and is never seen by half."""
    reached = dict.fromkeys(states, 0)
    version = 0
    while True:
        over = world.over.wait(LOOK_S)
        for one in world.patiently(committed_now):
            assert verify(world.near, [one.night]).problems == (), world.name
        found = world.patiently(lambda store: table_now(store, star))
        if found is not None:
            assert found[0] >= version, world.name
            version = found[0]
            check_table(world, found[1], states, reached)
            world.seen["table read"] += 1
        if over:
            return


def committed_now(store: Store) -> list[SensorCommit]:
    found = [load_commit(store, key) for key in store.list("exposures") if key.endswith(".json")]
    assert None not in found
    return [one for one in found if one is not None]


def table_now(store: Store, star: int) -> tuple[int, list[tuple[int, Row]]] | None:
    """Return the version and the rows of the table, looked up in two ways."""
    if not store.list("catalogs/lightcurves/manifest"):
        return None
    catalog = open_catalog(store, "lightcurves")
    table = catalog.table((*IDENTITY, "night", "source_id"))
    assert len(catalog.lightcurve(star)) == table["source_id"].to_pylist().count(star)
    found = zip(*(table[name].to_pylist() for name in ("night", *IDENTITY)), strict=True)
    return catalog.info().version, [(int(night), tuple(row)) for night, *row in found]


def check_table(
    world: World,
    found: Sequence[tuple[int, Row]],
    states: dict[tuple[int, str], list[list[Row]]],
    reached: dict[tuple[int, str], int],
) -> None:
    """Check that each exposure is there as one append left it, and no earlier one than was seen before."""
    held: dict[tuple[int, str], list[Row]] = {name: [] for name in states}
    for night, row in found:
        held[night, row[0]].append(row)
    for name, rows_ in held.items():
        possible = states[name]
        now = next((n for n in range(reached[name], len(possible)) if sorted(rows_) == possible[n]), None)
        assert now is not None, f"{world.name}: a reader found {len(rows_)} rows of {name}, which no append left"
        reached[name] = now
