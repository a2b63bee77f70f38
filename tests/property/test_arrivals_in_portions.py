"""Exposures and their names do not depend on the order and the portions in which raw files arrive.

Covered: files given to commands and files found by a watch, in any order and portions, with an archive that fails and a
watch that is killed. Not covered: the grouping rules (unit/test_exposure_grouping), and files that arrive after their
exposure is reduced, which form the next exposure.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.effort import EVERYTHING
from tests.unit.test_exposure_grouping import PROFILE, TENTH_DEG

from gozen.archive.raw.exposure_record import RawExposure, raw_exposures
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.archive.stores.open_store import Store, open_store
from gozen.errors import StorageUnavailable
from gozen.frames.incoming_files import read_arrivals
from gozen.frames.take_in import take_in
from gozen.instrument.profile import parse_profile
from gozen.reduction.sensor_work import SharedInputs
from gozen.settings import Settings, WatchSettings
from gozen.watch.ingest import Inbound
from gozen.watch.messages import Reporter
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import Cubes, State
from gozen.watch.watch_context import WatchContext

from ..interruptions import Killed

CAMERA = parse_profile(PROFILE, "tiny")
CUBES = parse_profile(PROFILE.replace("raw: frames", "raw: cube"), "tiny")
START = datetime(2024, 3, 1, 18)
Sky = dict[str, set[str]]

shots = st.lists(
    st.fixed_dictionaries(
        {
            "step": st.sampled_from([7, 40, 900, 1900]),
            "OBJECT": st.sampled_from(["M 67", "m 67", "M 67 2"]),
            "FILTER": st.sampled_from(["R", "R", "V"]),
            "DEC": st.sampled_from([20.0, 20 + 0.7 * TENTH_DEG, 20 + 1.4 * TENTH_DEG]),
            "CHIP": st.sampled_from(["1", "2"]),
        }
    ),
    min_size=2,
    max_size=9,
)
some = hypothesis_settings(
    max_examples=200 if EVERYTHING else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)


def write(folder: Path, taken: Sequence[dict[str, Any]]) -> list[Path]:
    """Write a file for each shot, named by its place in time."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds, paths = 0, []
    for number, shot in enumerate(taken):
        seconds += shot["step"]
        words = {"IMAGETYP": "OBJECT", "EXPTIME": 30.0, "RA": 150.0, **shot}
        words["DATE-OBS"] = (START + timedelta(seconds=seconds)).isoformat()
        cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2"]
        cards += ["NAXIS1  =                   60", "NAXIS2  =                   48"]
        cards += [f"{word:8}= {value!r:20}" for word, value in words.items() if word != "step"]
        header = "".join(f"{card:80}" for card in [*cards, "END"])
        paths.append(folder / f"{number}.fits")
        paths[-1].write_bytes(f"{header:2880}".encode() + bytes([number]) * 2880)
    return paths


def held(store: Store) -> Sky:
    """Return the file names of each exposure of an archive, as they came."""
    return {
        one.exposure: {Path(key).name for files in one.sensors.values() for key in files}
        for one in raw_exposures(store, "20240301")
    }


def contents(store: Store) -> tuple[list[RawExposure], dict[str, bytes]]:
    """Return what an archive says that it has, and what it has; notes that could not be removed count as recorded."""
    return raw_exposures(store, "20240301"), {key: store.read(key) for key in store.list("raw") if key.endswith("fits")}


def take(store: Store, portions: Iterable[Sequence[Path]], camera: Any) -> Sky:
    for portion in portions:
        if portion:
            _, refused = take_in(store, camera, read_arrivals(portion, camera)[0])
            assert refused == []
    return held(store)


def cut(paths: Sequence[Path], cuts: Iterable[int]) -> list[Sequence[Path]]:
    """Cut a list at some of its places."""
    places = sorted({0, len(paths), *(cut % (len(paths) + 1) for cut in cuts)})
    return [paths[begin:end] for begin, end in pairwise(places)]


@some
@given(taken=shots, cuts=st.lists(st.integers(0, 9), max_size=4), order=st.randoms(use_true_random=False))
def test_files_taken_in_by_commands(taken: list[dict[str, Any]], cuts: list[int], order: Any) -> None:
    for camera in (CAMERA, CUBES):
        with tempfile.TemporaryDirectory() as name:
            paths = write(Path(name) / "raw", taken)
            expected = take(open_store(f"{name}/one"), [paths], camera)
            order.shuffle(paths)
            store = open_store(f"{name}/portions")
            assert take(store, cut(paths, cuts), camera) == expected
            assert take(store, [paths], camera) == expected
            files = {key for key in store.list("raw") if key.endswith(".fits")}
            assert len(files) == len(paths)


class Flaky(DirectoryStore):
    """An archive of which some calls that write fail, or kill who calls."""

    failures: dict[int, bool] = {}  # noqa: RUF012 - set by each test
    calls = 0

    def _count(self) -> None:
        self.calls += 1
        kills = self.failures.get(self.calls)
        if kills is not None:
            raise Killed if kills else StorageUnavailable("the disk is full")

    def create(self, key: str, data: bytes) -> bool:
        self._count()
        return super().create(key, data)

    def write(self, key: str, data: bytes) -> None:
        self._count()
        super().write(key, data)

    def take(self, key: str, path: Path) -> bool:
        self._count()
        return super().take(key, path)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)


def watch(folder: Path, store: Store, portions: Iterable[Sequence[Path]], settings: Settings, step_s: float) -> Cubes:
    """Let a watch see files that come in portions, take them in, one cube at each step, and reduce none.

    One that is killed is started again.
    """
    (folder / "in").mkdir()
    shared = SharedInputs(store, CAMERA, settings, None)
    reporter = Reporter(lambda _: None, settings.watch, store, None, 0.0)

    def started() -> tuple[Inbound, Cubes]:
        context = WatchContext(settings.watch, Orders(CAMERA, settings), reporter)
        return Inbound(folder / "in", shared, context, keep=False), context.cubes

    inbound, cubes = started()
    now, waiting = 0.0, deque(portions)
    for _ in range(200):
        for path in waiting.popleft() if waiting else ():
            path.rename(folder / "in" / path.name)
        now += step_s
        try:
            inbound.step(now)
        except StorageUnavailable:
            continue
        except Killed:
            inbound.close()
            inbound, cubes = started()
            continue
        if not waiting and inbound.is_idle and all(cube.state == State.WAITING for cube in cubes.values()):
            inbound.close()
            return cubes
    raise AssertionError((cubes, inbound.unread))


@some
@given(
    taken=shots,
    cuts=st.lists(st.integers(0, 9), max_size=4),
    order=st.randoms(use_true_random=False),
    settle_s=st.sampled_from([0.0, 10.0]),
    failures=st.dictionaries(st.integers(1, 60), st.booleans(), max_size=4),
)
def test_files_that_a_watch_sees(
    taken: list[dict[str, Any]], cuts: list[int], order: Any, settle_s: float, failures: dict[int, bool]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write(folder / "raw", taken)
        whole, watched = open_store(f"{name}/one"), Flaky(folder / "watched")
        take(whole, [paths], CAMERA)
        order.shuffle(paths)
        watched.failures = failures
        settings = Settings(watch=WatchSettings(settle_s=settle_s, interval_s=1.0))
        cubes = watch(folder, watched, cut(paths, cuts), settings, step_s=9.0)
        assert contents(watched) == contents(whole)
        named = {
            (one.exposure, sensor): files
            for one in raw_exposures(whole, "20240301")
            for sensor, files in one.sensors.items()
        }
        assert {(cube.raw.exposure, cube.sensor): cube.keys for cube in cubes.values()} == named
        assert all(set(cube.files.values()) == set(cube.keys) for cube in cubes.values())
        assert all(path.name == Path(key).name for cube in cubes.values() for path, key in cube.files.items())
