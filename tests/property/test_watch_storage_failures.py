"""Each storage request of a watch fails once, and no file that the watch has seen is lost.

Covered: each request to the archive and to the folder in turn, while files arrive, are sorted, renamed, refused and
copied; the request fails before it has any effect, or afterwards (every third request in ``make test``); workers that
take every ready cube during the turn in which a renaming fails; damaged records. Not covered: failures while exposures
are named in any order (test_arrivals_in_portions), the workers (tests/unit/test_dispatch).
"""

from __future__ import annotations

import contextlib
import errno
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.effort import EVERYTHING
from tests.interruptions import MemoryStore
from tests.unit.test_exposure_grouping import PROFILE

from gozen.archive import keys
from gozen.archive.keys import Processing
from gozen.archive.raw.exposure_record import raw_exposures
from gozen.archive.stores.store import named_errors
from gozen.errors import GozenError, StorageUnavailable
from gozen.frames import incoming_files
from gozen.instrument.profile import parse_profile
from gozen.reduction.sensor_work import SharedInputs
from gozen.settings import Settings, WatchSettings
from gozen.watch import recipes_of_cubes, scan_folder, spool
from gozen.watch.ingest import Inbound
from gozen.watch.messages import Reporter
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import Cubes, State, next_to_run
from gozen.watch.watch_context import WatchContext

from .test_arrivals_in_portions import START, write

CAMERA = parse_profile(PROFILE, "tiny")
NIGHT = START.strftime("%Y%m%d")
SETTLE_S = 10.0
PLANS = f"create raw/{NIGHT}/renaming/plan.json"
RECIPE = """
Observer: o
Project: p
Operations:
- Pointing: { ra: 150, dec: 20 }
- SetParameter: { tinteg_sec: 30, nframe: 2 }
- Exposure: late
- Exposure: late
"""
SHOTS = [
    ("early", "over", 10),
    ("early", "over", 40),
    ("spool", "over", 40),
    ("then", "over", 40),
    ("then", "late", 40),
    ("first", "late", 2000),
    ("first", "late", 40),
    ("spool", "late", 2000),
    ("then", "other", 40),
    ("then", "late", 40),
]
"""When a file comes, its object, and the seconds since the frame before."""


def shots_of(queue_length: int) -> list[tuple[str, str, int]]:
    """Leave out what is reduced at once if the queue is short: when that is depends on the failures."""
    return [one for one in SHOTS if queue_length > 1 or one[1] != "over"]


@dataclass
class Faults:
    """Counts requests; the one with a number fails, before or after it is carried out, and something else happens."""

    fails: int = 0
    after: bool = False
    happens: Callable[[], object] = lambda: None
    made: list[str] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        return len(self.made) >= self.fails > 0

    @contextlib.contextmanager
    def request(self, name: str, error: Exception) -> Iterator[None]:
        self.made.append(name)
        fails = len(self.made) == self.fails
        if fails and not self.after:
            raise error
        yield
        if fails:
            self.happens()
            raise error


class FailingStore(MemoryStore):
    """An archive of which each request is counted."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("read", "write", "create", "take", "exists", "list", "delete", "open", "copy"):
            return found

        def call(key: str, *more: object) -> object:
            with self.faults.request(f"{name} {key}", StorageUnavailable("the archive does not answer")):
                return found(key, *more)

        return call


def count_requests_to_the_folder(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def counted(name: str, verb: str) -> Iterator[None]:
        error = OSError(errno.EIO, "Input/output error")
        with named_errors(name, verb), faults.request(f"{verb} {Path(name).name} in the folder", error):
            yield

    for module in (spool, scan_folder, incoming_files):
        monkeypatch.setattr(module, "named_errors", counted)


class RefusedFiles(Reporter):
    """Remembers where the refused files are, as reported."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.places: list[Path] = []

    def refused(self, path: Path, error: GozenError) -> None:
        super().refused(path, error)
        self.places.append(path)


class World:
    """A watched folder, an archive in memory, and the time."""

    def __init__(self, folder: Path, faults: Faults, queue_length: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.store, self.now, self.has_all = folder / "in", FailingStore(faults), 0.0, False
        self.objects, self.takes_any = self.store.objects, False
        monkeypatch.setattr(recipes_of_cubes, "open_archive", lambda _: self.store)
        count_requests_to_the_folder(faults, monkeypatch)
        (folder / "recipe.yaml").write_text(RECIPE)
        watch = WatchSettings(settle_s=SETTLE_S, interval_s=1.0, patience_s=20.0, queue_length=queue_length)
        settings = Settings(watch=watch)
        self.reporter = RefusedFiles(lambda _: None, watch, self.store, None, 0.0)
        context = WatchContext(watch, Orders(CAMERA, settings, [folder / "recipe.yaml"]), self.reporter)
        self.inbound = Inbound(self.folder, SharedInputs(self.store, CAMERA, settings, None), context, keep=False)
        self.cubes: Cubes = context.cubes
        self.files = self._file_portions(folder, shots_of(queue_length))

    def _file_portions(self, folder: Path, shots: list[tuple[str, str, int]]) -> deque[list[Path]]:
        """Write all files; put those of an earlier watch into the spool."""
        words = [{"step": step, "OBJECT": name, "DEC": 20.0, "CHIP": "1"} for _, name, step in shots]
        paths = write(folder / "raw", words)
        (folder / "again.fits").write_bytes(paths[-1].read_bytes())
        (folder / "noise.fits").write_bytes(b"no FITS" * 1000)
        portions: dict[str, list[Path]] = {
            "early": [],
            "then": [folder / "again.fits", folder / "noise.fits"],
            "first": [],
        }
        (self.folder / ".gozen").mkdir(parents=True)
        for (when, _, _), path in zip(shots, paths, strict=True):
            if when == "spool":
                path.rename(self.folder / ".gozen" / path.name)
            else:
                portions[when].append(path)
        if ("early", "over", 10) in shots:
            # The camera uses the name of a file again that is still in the spool.
            again = portions["first"][0]
            portions["first"][0] = again.rename(folder / portions["then"][3].name)
        return deque([portions["early"], portions["then"], portions["first"]])

    def step(self) -> None:
        """Let time pass; what is called `over` is reduced at once, the rest after all files have come.

        With `takes_any`, workers also take the rest in the turn of the failure.
        """
        self.now += 4.0
        before = self.store.faults.has_failed
        with contextlib.suppress(StorageUnavailable):
            self.inbound.step(self.now)
        takes_any = self.has_all or (self.takes_any and self.store.faults.has_failed and not before)
        for cube in self.cubes.values():
            if cube.state == State.WAITING:
                assert set(cube.keys) <= set(cube.raw.sensors[cube.sensor]) <= set(self.objects)
        while True:
            ready = [cube for cube in self.cubes.values() if cube.raw.object == "over" or takes_any]
            cube = next_to_run(ready, self.now - SETTLE_S)
            if cube is None:
                return
            self.objects[keys.commit(Processing(*cube.name, "run"), cube.sensor)] = b"{}"
            self.inbound.finish([cube])
            del self.cubes[cube.key]

    @property
    def is_quiet(self) -> bool:
        is_over = all(cube.raw.object != "over" for cube in self.cubes.values())
        return self.inbound.is_idle and self.inbound.next() is None and is_over

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let the files come in portions, each when there is nothing to do, until everything is reduced."""
        for _ in range(50):
            if until():
                return
            if self.is_quiet and self.files:
                for path in self.files.popleft():
                    path.rename(self.folder / path.name)
                self.step()
            elif self.is_quiet:
                self.has_all = True
            self.step()
            if self.has_all and self.is_quiet and not self.cubes:
                break

    def result(self) -> tuple[object, ...]:
        """Return the records, the raw files, the files in the folder, where refused ones are, and the queue."""
        self.store.faults = Faults()
        raw = {key: data for key, data in self.objects.items() if key.startswith("raw/") and key.endswith(".fits")}
        files = sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.fits"))
        refused = sorted(path.relative_to(self.folder).as_posix() for path in self.reporter.places)
        return raw_exposures(self.store, NIGHT), raw, files, refused, list(self.cubes), self.inbound.unread


def intake(folder: Path, faults: Faults, queue_length: int, *, takes_any: bool = False) -> tuple[object, ...]:
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        world = World(folder, faults, queue_length, patch)
        world.takes_any = takes_any
        world.run()
        world.inbound.close()
        return world.result()


def outcome(folder: Path, faults: Faults, queue_length: int, *, takes_any: bool = False) -> object:
    try:
        return intake(folder, faults, queue_length, takes_any=takes_any)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("queue_length", [500, 1])
def test_nothing_is_lost_whichever_request_fails(tmp_path: Path, queue_length: int, after: bool) -> None:
    whole = Faults()
    expected = intake(tmp_path / "whole", whole, queue_length)
    _, raw, files, refused, *left = expected
    assert len(set(raw.values())) == len(raw) == len(shots_of(queue_length))
    assert files == refused == ["refused/again.fits", "refused/noise.fits"]
    assert left == [[], 0]
    lost = []
    chosen = slice(None) if EVERYTHING else slice(int(after), None, 3)
    for number, request in list(enumerate(whole.made, 1))[chosen]:
        found = outcome(tmp_path / str(number), Faults(number, after), queue_length)
        if found != expected:
            lost.append(f"{number}: {request}: {found if isinstance(found, str) else ''}")
    assert not lost, "\n".join(lost)


def requests_of_renamings(made: list[str]) -> list[int]:
    """Return the numbers of the requests from the creation of each plan to its deletion."""
    begins = [number for number, request in enumerate(made, 1) if request == PLANS]
    ends = [number for number, request in enumerate(made, 1) if request == PLANS.replace("create", "delete")]
    assert len(begins) == len(ends) > 0
    chosen = slice(None) if EVERYTHING else slice(None, None, 6)
    return [number for begin, end in zip(begins, ends, strict=True) for number in list(range(begin, end + 1))[chosen]]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("queue_length", [500, 1])
def test_no_worker_gets_a_cube_under_its_old_name_after_a_renaming_failed(
    tmp_path: Path, queue_length: int, after: bool
) -> None:
    whole = Faults()
    expected = intake(tmp_path / "whole", whole, queue_length)
    split = []
    for number in requests_of_renamings(whole.made):
        found = outcome(tmp_path / str(number), Faults(number, after), queue_length, takes_any=True)
        if found != expected:
            split.append(f"{number}: {whole.made[number - 1]}: {found if isinstance(found, str) else ''}")
    assert not split, "\n".join(split)


@dataclass
class SpoolFailsFirst(Faults):
    """The spool cannot be read until a later file is in the archive; then the first renaming fails after its plan."""

    objects: dict[str, bytes] = field(default_factory=dict)
    unfinished: list[bool] = field(default_factory=list)
    """For each scan of the folder, whether a plan was unfinished."""

    @contextlib.contextmanager
    def request(self, name: str, error: Exception) -> Iterator[None]:
        has_later = PLANS in self.made or f"raw/{NIGHT}/late/exposure.json" in self.objects
        if name == "read 0.fits in the folder" and not has_later:
            raise error
        if name == "list in in the folder":
            self.unfinished.append(PLANS.removeprefix("create ") in self.objects)
        is_first = name == PLANS and PLANS not in self.made
        self.made.append(name)
        yield
        if is_first:
            raise error


def test_a_renaming_that_files_in_the_spool_began_is_finished_before_the_folder_is_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.SHOTS", [("spool", "late", 40), ("early", "late", 2000)])
    expected = intake(tmp_path / "whole", Faults(), 500)
    (tmp_path / "fails").mkdir()
    faults = SpoolFailsFirst()
    world = World(tmp_path / "fails", faults, 500, monkeypatch)
    faults.objects = world.objects
    for path in world.files.popleft():
        path.rename(world.folder / path.name)
    world.run()
    assert PLANS in faults.made
    assert not any(faults.unfinished)
    assert world.result() == expected


def test_a_damaged_record_stops_no_other_exposure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = intake(tmp_path / "whole", Faults(), 500)
    (tmp_path / "damaged").mkdir()
    world, damaged = World(tmp_path / "damaged", Faults(), 500, monkeypatch), f"raw/{NIGHT}/far/exposure.json"
    world.objects[damaged] = b"damaged"
    world.run()
    del world.objects[damaged]
    assert world.result() == expected


def test_a_record_that_is_damaged_while_exposures_are_renamed_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Faults()
    expected = intake(tmp_path / "whole", whole, 500)
    (tmp_path / "damaged").mkdir()
    faults = Faults(whole.made.index(PLANS) + 1, after=True)
    world = World(tmp_path / "damaged", faults, 500, monkeypatch)
    objects, damaged, record = world.objects, f"raw/{NIGHT}/late/exposure.json", [b""]

    def damage() -> None:
        record[0], objects[damaged] = objects[damaged], b"damaged"

    # The plan is written, and its answer is lost.
    faults.happens = damage
    world.run(until=lambda: record != [b""])
    assert f"raw/{NIGHT}/renaming/plan.json" in objects
    for _ in range(3):
        world.now += 4.0
        with pytest.raises(StorageUnavailable, match=r"late/exposure\.json is not a valid record"):
            world.inbound.step(world.now)
    objects[damaged] = record[0]
    world.run()
    assert world.result() == expected
