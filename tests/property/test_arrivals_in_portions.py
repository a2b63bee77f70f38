"""In which order and in which portions raw files come does not matter: exposures and their names are those of one go.

Covered: files taken in by commands, in any order; files that a watch sees, in any order while an exposure is not quiet
and in the order of time in any portions. Not here: what belongs together (unit/test_exposure_grouping), and files
that come when an exposure is reduced, which are the next one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.effort import EVERYTHING
from tests.unit.test_exposure_grouping import PROFILE, TENTH_DEG

from gozen.archive.raw.exposure_record import raw_exposures, record_exposure
from gozen.archive.stores.open_store import Store, open_store
from gozen.frames.incoming_files import read_arrivals
from gozen.frames.take_in import record_of, take_in
from gozen.instrument.profile import parse_profile
from gozen.watch.completeness import Arriving

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
some = settings(
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


def watch(folder: Path, store: Store, portions: Iterable[Sequence[Path]], settle_s: float, step_s: float) -> Sky:
    """Let a watch see files that come in portions, one at each step, and record what it gives out."""
    (folder / "in").mkdir()
    arriving, now = Arriving(folder / "in", store, CAMERA, patience_s=60, settle_s=settle_s), 0.0
    for portion in [*portions, [], [], []]:
        for path in portion:
            path.rename(folder / "in" / path.name)
        now += step_s
        groups, refused = arriving.look(now)
        assert refused == []
        for group in groups:
            record_exposure(store, record_of(group.night, group.exposure, group.files))
    assert arriving.unread == 0
    return held(store)


@some
@given(
    taken=shots,
    cuts=st.lists(st.integers(0, 9), max_size=4),
    order=st.randoms(use_true_random=False),
    in_time=st.booleans(),
)
def test_files_that_a_watch_sees(taken: list[dict[str, Any]], cuts: list[int], order: Any, in_time: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write(folder / "raw", taken)
        expected = take(open_store(f"{name}/one"), [paths], CAMERA)
        if not in_time:
            order.shuffle(paths)
        settle_s = 0.0 if in_time else 10.0
        found = watch(folder, open_store(f"{name}/watched"), cut(paths, cuts), settle_s, step_s=9.0)
        assert found == expected
