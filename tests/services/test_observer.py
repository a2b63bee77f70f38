"""A night that the observer takes with the simulated observatory, and its reduction.

Covered: dark, flat and two fields from Observations to raw data, masters, reductions and the table, in which the
injected flare is found; `gozen run` with the same Observation; a process that ends during an exposure. The cluster is
in memory; the real API server is in tests/cluster.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gozen.archive import exp_ids
from gozen.archive.raw.exposure_record import raw_exposures
from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.instrument.profile import load_profile
from gozen.observing.device_drivers import Observatory, load_observatory
from gozen.resources.yaml_resources import dump_resources
from gozen.settings import load_settings
from gozen.simulator import truth_tables
from gozen_operator.observer.observer_loop import Observer
from gozen_operator.observer.observing_site import ObservingSite

from ..observing_world import MemoryCluster, observation
from .conftest import CAMERA

CALIBRATION = observation(
    {"setParameter": {"nframe": 6, "tintegSec": 0.5, "dataType": "DARK"}},
    {"exposure": "DARK"},
    {"setParameter": {"dataType": "FLAT"}},
    {"exposure": "FLAT"},
    name="calibration",
    priority=1.0,
)
FIELD = observation(
    {"setFocus": 28.13},
    {"mirrorCover": "open"},
    {"wait": ["mirrorcover_open", "domeslit_open"]},
    {"setPipeline": ["wcs", "stack"]},
    {"setParameter": {"nframe": 12, "tintegSec": 0.5}},
    {"pointing": {"ra": 19.75, "dec": 29.71}},
    {"exposure": "field_dith1"},
    {"dithering": [0, 300]},
    {"exposure": "field_dith2"},
    {"mirrorCover": "close"},
    name="field",
)


@dataclass
class Night:
    """A night that was observed: its folder, its name and its cluster."""

    folder: Path
    night: str
    cluster: MemoryCluster


def process(folder: Path, cluster: MemoryCluster, session: str) -> tuple[Observer, Observatory]:
    """Return an observer's process and its simulated observatory, twenty times as fast as real."""
    settings = load_settings(
        archive=str(folder / "archive"),
        instrument=str(CAMERA),
        observatory={"speed_up": 20.0, "events": True},
        observer={"interval_s": 0.1},
    )
    profile, store = load_profile(settings.instrument), open_store(settings.archive)
    observatory = load_observatory(settings, profile, store)
    return Observer(ObservingSite(cluster, store, observatory, profile, settings, session)), observatory


def work(observer: Observer, until: Callable[[], bool]) -> None:
    """Let a process work, on the real clock, until something holds; two minutes at most."""
    began = datetime.now(UTC)
    while not until():
        now = datetime.now(UTC)
        assert (now - began).total_seconds() < 120
        observer.turn(now)


def over(cluster: MemoryCluster, name: str) -> bool:
    """Tell whether an Observation has been executed."""
    said = cluster.executed(name)
    return said is not None and said.status != "Unknown"


def night_of(store: Store) -> str:
    """Return the night of the first number."""
    purpose = exp_ids.read_purpose(store, 1)
    assert purpose is not None
    return purpose.night


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a night that was taken by two processes: the first died while the shutter was open."""
    folder, cluster = tmp_path_factory.mktemp("observed"), MemoryCluster()
    store = open_store(folder / "archive")
    for one in (CALIBRATION, FIELD):
        cluster.apply(one)
    first, observatory = process(folder, cluster, "first")
    work(first, lambda: exp_ids.read_opening(store, 3) is not None)
    observatory.camera.abort()  # the simulated camera lives in the process, and ends with it
    for sensor in ("111", "112"):  # what a camera may have written by then
        flat = next(key for key in store.list(f"raw/{night_of(store)}/00000002") if key.endswith(f"{sensor[1:]}.fits"))
        store.write(flat.replace("00000002", "00000003"), store.read(flat))
    second, _ = process(folder, cluster, "second")
    work(second, lambda: over(cluster, "field"))
    (night,) = {one.spec.night for one in cluster.exposures.values()}
    (folder / "field.yaml").write_text(dump_resources([FIELD]))
    return Night(folder, night, cluster)


@pytest.fixture(scope="module")
def reduced(observed: Night, command: Callable[..., object]) -> Night:
    """Return the night after masters, reduction and append."""
    command("masters", cwd=observed.folder)
    command("reduce", observed.night, cwd=observed.folder)
    command("night", "append", observed.night, cwd=observed.folder)
    return observed


def test_each_exposure_has_its_raw_record(observed: Night) -> None:
    assert {observed.cluster.executed(name).status for name in ("calibration", "field")} == {"True"}
    store = open_store(observed.folder / "archive")
    records = {one.exposure: one for one in raw_exposures(store, observed.night)}
    for exposure in observed.cluster.exposures.values():
        record = records[f"{exposure.spec.exposure_id:08d}"]
        assert (record.object, record.data_type) == (exposure.spec.object, exposure.spec.data_type)
        assert set(record.sensors) == {"111", "112"}
    assert len(observed.cluster.exposures) == 4


def test_the_exposure_during_which_the_process_died_was_taken_again(observed: Night) -> None:
    store = open_store(observed.folder / "archive")
    lost = exp_ids.read_closing(store, 3)
    assert (lost.result, lost.why) == ("lost", "Interrupted")
    assert observed.cluster.exposures["field-007"].spec.exposure_id == 4
    assert exp_ids.read_purpose(store, 4).attempt == 2


def test_what_the_lost_exposure_left_is_not_taken_for_data(reduced: Night, command) -> None:
    store = open_store(reduced.folder / "archive")
    assert len(store.list(f"raw/{reduced.night}/00000003")) == 2
    assert [one.exposure for one in raw_exposures(store, reduced.night)] == [
        "00000001",
        "00000002",
        "00000004",
        "00000005",
    ]
    assert "00000003" not in command("exposures", "--csv", cwd=reduced.folder).stdout


def test_the_night_becomes_a_table_in_which_the_flare_is_found(reduced: Night) -> None:
    store = open_store(reduced.folder / "archive")
    events = truth_tables.read_truth(store, truth_tables.events_key(reduced.night)).to_pylist()
    (flare,) = [one for one in events if one["kind"] == "flare" and one["name"].endswith("00000004")]
    star = json.loads(flare["parameters"])
    rows = open_catalog(store, "lightcurves").table().to_pandas()
    seen = rows[(rows["source_id"] == star["source_id"]) & (rows["exposure"] == "00000004")].sort_values("frame")
    assert len(seen) == 12
    ratio = seen["flux"].to_numpy() / np.median(seen["flux"].to_numpy()[:3])
    assert ratio.max() == pytest.approx(1 + star["amplitude"], rel=0.35)
    brightest = seen["mjd"].to_numpy()[int(np.argmax(ratio))]
    assert abs(brightest - star["peak_mjd"]) * 86400 < 1.0


def test_the_same_observation_runs_on_a_laptop(reduced: Night, command) -> None:
    said = command("run", "field.yaml", cwd=reduced.folder).stdout
    assert "4 reduced, 0 rejected, 0 failed (4 of them done before)" in said
