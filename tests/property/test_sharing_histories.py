"""Transfers to and from Nextcloud over a faulty connection: no file is lost, duplicated, half-written or overwritten.

Each history has a folder that a user sends and fetches, files that the user and another client change, lost notes,
uploads that the server removes, and a process that is killed during a transfer. Requests meet the faults of
`tests.services.nextcloud_server.faults`; each transfer is repeated until it succeeds, as a user does. A model states
what both sides must contain afterwards; meanwhile each file has its old or its new content.

The number of histories is in tests/effort.py. ``GOZEN_SEED`` replays a failure, whose message names it. Not covered:
permanent errors (tests/services/test_sharing_broken_requests.py).
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.effort import SEED, rounds
from tests.services.nextcloud_server import NextcloudServer
from tests.services.nextcloud_server.clients import quick_cloud
from tests.services.nextcloud_server.faults import PASSING, Dice

from gozen.errors import CloudConflict, ExitCode, GozenError
from gozen.sharing.account import Account
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.outcomes import FileState
from gozen.sharing.transfers.progress import Progress

HISTORIES = "histories of sharing"
CHUNK = 2**16
SIZES = (0, 1000, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 77, 5 * CHUNK - 1)
LARGE = SIZES[-2:]
NAMES = ("a.csv", "b#1.fits", "50%+?.txt", "ü ö.png", "😀.csv", "sub/c.csv", "sub/deep/d.bin", "sub/deep/ e.dat")
ACTIONS = (
    *("put", "get", "change here", "change here", "change there", "change there", "add there", "forget"),
    *("kill put", "kill put", "kill get", "lose"),
)
PARTS = 2
PATIENCE = 60
ROOT = "night"
Contents = dict[str, tuple[bytes | None, bytes | None]]
"""What both sides have of each file."""


class Killed(BaseException):
    """The process of the transfer has been killed."""


class KillAfter(Progress):
    """Ends a transfer at its n-th report."""

    def __init__(self, reports: int) -> None:
        self._left = reports

    def moved(self, size: int) -> None:
        self._left -= 1
        if self._left <= 0:
            raise Killed


@dataclass
class File:
    """What is known about a path; None for content that does not exist."""

    here: bytes | None = None
    there: bytes | None = None
    synced: bool = False
    """Whether the user's notes know the last transfer."""
    here_changed: bool = True
    there_changed: bool = True
    has_checksum: bool = True
    """Whether the client that wrote the file in Nextcloud has given a checksum."""

    def equal(self) -> None:
        """Record a transfer."""
        self.synced, self.here_changed, self.there_changed = True, False, False

    def _is_same(self) -> bool:
        return self.here == self.there and self.has_checksum

    def put(self) -> bool:
        """Send it; return whether this is a conflict."""
        if self.here is None:
            return False
        if self.there is None:
            self.there, self.has_checksum = self.here, True
        elif self.synced and not self.there_changed:
            if self.here_changed:
                self.there, self.has_checksum = self.here, True
        elif not self._is_same():
            return True
        self.equal()
        return False

    def get(self) -> bool:
        """Fetch it; return whether this is a conflict."""
        if self.there is None:
            return False
        if self.here is None or (self.synced and not self.here_changed):
            self.here = self.there
        elif not self._is_same():
            return True
        self.equal()
        return False


@dataclass
class World:
    """One history."""

    name: str
    rng: random.Random
    server: NextcloudServer
    account: Account
    folder: Path
    files: dict[str, File] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    attempts: int = 4

    @property
    def here(self) -> Path:
        return self.folder / "here" / ROOT

    @property
    def there(self) -> Path:
        return self.server.state.files(self.account.id) / ROOT

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def change(self, path: str, sizes: Sequence[int] = SIZES) -> None:
        """Give a file new content here; no two contents are equal unless they are empty."""
        file, data = self.files.setdefault(path, File()), self.rng.randbytes(self.rng.choice(sizes))
        if data != file.here:
            write(self.here / path, data)
            file.here, file.here_changed = data, True

    def contents(self) -> Contents:
        """Return what both sides have of each file, as the model says."""
        return {path: (one.here, one.there) for path, one in self.files.items()}

    def transfer(self, way: str, progress: Progress | None = None) -> list[GozenError]:
        """Transfer once; return the errors of the files."""
        limits = ConnectionLimits(connections=4, attempts=self.attempts)
        cloud = quick_cloud(self.account, self.notes, chunk=CHUNK, limits=limits)
        with cloud:
            if way == "put":
                done = cloud.put(self.here, check=False, progress=progress)
            else:
                done = cloud.get(ROOT, self.here.parent, check=False, progress=progress)
        for one in done:
            self.seen[one.state] += 1
        errors = [one.error for one in done.failed if one.error is not None]
        return [*errors, done.fatal] if done.fatal else errors

    def patiently(self, way: str, before: Contents | None = None) -> None:
        """Transfer until only conflicts are left, and check both sides."""
        before = before or self.contents()
        conflicts = sum([one.put() if way == "put" else one.get() for one in self.files.values()])
        for _ in range(PATIENCE):
            errors = self._attempt(way)
            self.check_whole(before)
            if errors is not None and all(isinstance(one, CloudConflict) for one in errors):
                self.server.faults.settle()
                self.check_exact()
                assert len(errors) == conflicts, f"{self.name}: {errors}"
                self.seen["conflicts"] += conflicts
                return
        raise AssertionError(f"{self.name}: no end after {PATIENCE} attempts: {errors}")

    def _attempt(self, way: str) -> list[GozenError] | None:
        try:
            errors = self.transfer(way)
        except GozenError as error:  # of the folder into which the files go
            errors = [error]
        for error in errors:
            assert isinstance(error, CloudConflict) or error.exit_code is ExitCode.STORAGE, f"{self.name}: {error!r}"
            self.seen[error.name] += 1
        return errors

    def kill(self, way: str) -> None:
        """Kill a transfer in its middle, and continue; maybe a file has changed or its upload has expired meanwhile."""
        path = self.rng.choice(sorted(self.files))
        self.change(path, LARGE)
        before = self.contents()
        try:
            self.transfer(way, KillAfter(self.rng.randint(1, 8)))
        except (Killed, GozenError) as error:
            self.seen[type(error).__name__] += 1
        self.server.faults.settle()
        is_changed = way == "put" and self.rng.random() < 0.7 and contents(self.there).get(path) == before[path][1]
        for name, one in self.files.items():
            if not (is_changed and name == path):
                _ = one.put() if way == "put" else one.get()
        if is_changed:
            self.change(path, [len(before[path][0] or b"")])
        elif self.rng.random() < 0.7:
            self.server.uploads.expire()
        self.check_whole(before)
        self.patiently(way, before)

    def check_whole(self, before: Contents) -> None:
        """Check that each file has its old or its new content."""
        for side, folder in ((0, self.here), (1, self.there)):
            found = contents(folder)
            for path, data in found.items():
                assert path in self.files, f"{self.name}: {path} came from nowhere"
                now = self.files[path].here if side == 0 else self.files[path].there
                assert data in (before[path][side], now), f"{self.name}: {path} is half, or of somebody else"
            for path, old in before.items():
                assert old[side] is None or path in found, f"{self.name}: {path} is lost"

    def check_exact(self) -> None:
        """Check that both sides are as the model says, and that nothing else is left."""
        want = [{p: d for p, d in ((p, (f.here, f.there)[side]) for p, f in self.files.items()) if d is not None}
                for side in (0, 1)]  # fmt: skip
        assert contents(self.there) == want[1], f"{self.name}: Nextcloud is not as it must be"
        assert contents(self.here, with_partial=True) == want[0], f"{self.name}: this machine is not as it must be"


def contents(folder: Path, *, with_partial: bool = False) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and (with_partial or not path.name.startswith(".gozen-"))
    }


def act(world: World, action: str) -> None:
    """Carry out one action of a history."""
    rng, files = world.rng, world.files
    match action:
        case "put" | "get" if any((one.here if action == "put" else one.there) is not None for one in files.values()):
            world.patiently(action)
        case "change here":
            world.change(rng.choice(sorted(files)))
        case "change there" | "add there":
            free = [path for path in NAMES if path not in files]
            path = rng.choice(free) if action == "add there" and free else rng.choice(sorted(files))
            file = files.setdefault(path, File())
            file.there, file.there_changed, file.has_checksum = rng.randbytes(rng.choice(SIZES)), True, False
            write(world.there / path, file.there)
        case "forget":
            shutil.rmtree(world.notes, ignore_errors=True)
            for file in files.values():
                file.synced = False
        case "lose":
            lost = rng.choice(sorted(files))
            (world.here / lost).unlink(missing_ok=True)
            files[lost].here, files[lost].here_changed = None, True
        case "kill put" | "kill get" if world.there.exists():
            world.kill(action.removeprefix("kill "))


def write(path: Path, data: bytes) -> None:
    """Write a file at once, as another program does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(".gozen-test.partial")
    partial.write_bytes(data)
    partial.replace(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NextcloudServer]:
    with NextcloudServer(tmp_path_factory.mktemp("nextcloud")) as running:
        running.state.smallest = CHUNK
        yield running


def history(number: int, server: NextcloudServer, folder: Path) -> Counter[str]:
    """Let one history happen."""
    name, user = f"history {number}, GOZEN_SEED={SEED}", f"user{number}"
    rng = random.Random(f"{SEED} {number}")
    server.state.add_user(user, "secret")
    world = World(name, rng, server, server.account(user), folder / user, attempts=rng.randint(1, 4))
    for path in rng.sample(NAMES, rng.randint(2, 5)):
        world.change(path, SIZES[1:])
    dice = Dice(f"{SEED} {number}", share=rng.choice([0.1, 0.25, 0.5]))
    server.faults.choose = dice
    try:
        for action in ("put", "kill put", *rng.choices(ACTIONS, k=rng.randint(3, 7))):
            act(world, action)
        server.faults.choose = lambda *_: None
        world.patiently("put")
        world.patiently("get")
    finally:
        server.faults.choose = lambda *_: None
        server.faults.settle()
        shutil.rmtree(world.folder)
    return world.seen + Counter({str(fault): count for fault, count in dice.met.items()})


@pytest.mark.parametrize("part", range(PARTS))
def test_no_file_is_lost_doubled_or_half(
    part: int, server: NextcloudServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    seen: Counter[str] = Counter()
    for number in rounds(HISTORIES, part, PARTS):
        seen += history(number, server, tmp_path)
    wanted = {FileState.SENT, FileState.FETCHED, FileState.EQUAL, "conflicts", "Killed", *map(str, PASSING)}
    assert {one for one in wanted if not seen[one]} == set()
