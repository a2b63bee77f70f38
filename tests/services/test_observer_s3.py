"""The observer's archive on S3: concurrent reservation of numbers, and exposures that the simulated camera writes.

The reduction of the exposures: test_observer and test_s3_night.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from gozen.archive import exp_ids
from gozen.archive.exp_ids import Opening, Purpose
from gozen.archive.raw.exposure_record import raw_exposures
from gozen.archive.stores.open_store import open_archive
from gozen.instrument.profile import load_profile
from gozen.observing.device_drivers import load_observatory
from gozen.settings import load_settings
from gozen_operator.observer.observer_loop import Observer
from gozen_operator.observer.observing_site import ObservingSite

from ..observing_world import MemoryCluster, observation
from .conftest import CAMERA

pytestmark = pytest.mark.xdist_group("s3 night")

RECIPE = observation(
    {"setParameter": {"nframe": 3, "tintegSec": 0.5, "dataType": "FLAT"}},
    {"exposure": "FLAT"},
    {"setParameter": {"dataType": "OBJECT"}},
    {"pointing": {"ra": 19.75, "dec": 29.71}},
    {"exposure": "field"},
)


def observe(archive: str, start: datetime) -> dict[str, bytes]:
    """Execute the recipe with a clock that begins at a given moment; return what the archive then holds."""
    settings = load_settings(archive=archive, instrument=str(CAMERA), observatory={"speed_up": 1000.0})
    profile, store, cluster = load_profile(settings.instrument), open_archive(settings), MemoryCluster()
    cluster.apply(RECIPE)
    observatory = load_observatory(settings, profile, store)
    observer = Observer(ObservingSite(cluster, store, observatory, profile, settings, "one"))
    while (said := cluster.executed()) is None or said.status == "Unknown":
        observer.turn(start)
    assert said.status == "True", said.message
    assert len(raw_exposures(store, "20261120")) == 2
    first, second = (datetime.fromisoformat(exp_ids.read_opening(store, number).start) for number in (1, 2))
    assert second >= first + timedelta(seconds=1.5), "a camera faster than real does not expose the same moment twice"
    return {key: store.read(key) for key in store.list("")}


def test_the_same_night_is_the_same_on_s3_and_in_a_directory(s3_bucket: str, s3, tmp_path: Path, monkeypatch) -> None:
    start = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
    here = observe(str(tmp_path / "archive"), start)
    there = observe(s3_bucket, start)
    assert sorted(here) == sorted(there)
    assert [key for key in here if here[key] != there[key]] == []


def test_of_many_who_ask_at_once_none_gets_the_same_number(s3_bucket: str, s3) -> None:
    barrier = Barrier(6)

    def ask(number: int) -> tuple[int, bool]:
        store = s3.store(s3_bucket)
        barrier.wait(20)
        step = number // 2 + 1
        got = exp_ids.reserve(store, 1, Purpose("default", "obs", "u1", step, f"obs-{step:03d}", "20261120"))
        return got, exp_ids.open_shutter(store, got, Opening("2026-11-20T13:00:00Z", str(number)))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    numbers = [number for number, _ in answers]
    assert numbers[::2] == numbers[1::2], "one exposure has one number, whoever asks"
    assert len(set(numbers)) == 3
    opened = [number for number, first in answers if first]
    assert sorted(opened) == sorted(set(numbers)), "each shutter opens once"
