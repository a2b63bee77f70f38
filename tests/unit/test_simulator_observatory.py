"""Test the simulated observatory as the observer uses it, with a clock that the test controls.

Covered: the duration and state of movements; faults; raw files written before their record, with the same bytes for the
same order; a dark before any pointing; events and their true values; an aborted exposure without a record. The pixels
are tested elsewhere.
"""

import json
import threading
from datetime import UTC, datetime

import pytest

from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest, DeviceFailed
from gozen.observing.device_drivers import ExposureOrder
from gozen.observing.written_sensors import sensors_taken
from gozen.resources.recipe_steps import Pointing
from gozen.settings import ObservatorySettings, Settings
from gozen.simulator import truth_tables
from gozen.simulator.devices import film_camera
from gozen.simulator.devices.film_camera import timing_of
from gozen.simulator.devices.observatory import simulated

from .simulator_samples import small_profile

START = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
FIELD = Pointing(ra=19.5, dec=29.7)


class Hand:
    """A clock whose hand the test moves."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def build(tmp_path, hand):
    def built(folder="archive", **said):
        store = open_store(tmp_path / folder)
        return simulated(Settings(observatory=ObservatorySettings(**said)), small_profile(), store, hand), store

    return built


def order(**changes):
    given = {
        "exposure_id": 42,
        "night": "20261120",
        "start": START,
        "object": "J0118+2942",
        "data_type": "OBJECT",
        "pointing": FIELD,
        "nframe": 2,
        "tinteg_sec": 0.5,
        "gain": "high",
        "sensors": ("111", "112"),
        "pipelines": ("wcs", "stack"),
        "observer": "Tester",
        "project": "Test",
    }
    return ExposureOrder(**(given | changes))


def film(observatory, hand, one):
    observatory.camera.configure(one)
    observatory.camera.expose(one)
    hand.at += one.duration_s
    while observatory.camera.state().phase == "exposing":
        threading.Event().wait(0.005)
    return observatory.camera.state()


def contents(store):
    return {key: store.read(key) for key in store.list("raw") + store.list("truth")}


def test_devices_take_their_time(build, hand):
    observatory, _ = build(speed_up=2)
    observatory.telescope.point(FIELD)
    assert observatory.busy()
    assert not observatory.conditions()["tracking"]
    assert not observatory.conditions()["pointing"]
    hand.at = 2.6
    assert not observatory.busy()
    assert observatory.conditions()["tracking"]
    assert observatory.conditions()["pointing"]
    assert observatory.telescope.where() == FIELD
    observatory.telescope.point(FIELD)
    assert not observatory.busy(), "it is there already"


@pytest.mark.parametrize("state", ["open", "close"])
def test_covers_are_neither_open_nor_closed_while_they_move(build, hand, state):
    observatory, _ = build()
    for one in ("open", "close") if state == "close" else ("open",):
        hand.at += 100
        observatory.telescope.mirror_cover(one)
        observatory.dome.slit("close" if one == "open" else "open")
    held = [word for word, holds in observatory.conditions().items() if holds]
    assert held == []
    hand.at += 100
    held = {word for word, holds in observatory.conditions().items() if holds}
    assert held == (
        {"mirrorcover_open", "domeslit_closed"} if state == "open" else {"mirrorcover_closed", "domeslit_open"}
    )


def test_faults_come_when_they_are_asked_for(build):
    observatory, _ = build(faults=("focuser.move", "telescope.point@2"))
    observatory.telescope.point(FIELD)
    with pytest.raises(DeviceFailed, match=r"telescope\.point failed"):
        observatory.telescope.point(FIELD)
    observatory.telescope.point(FIELD)
    for _ in range(2):
        with pytest.raises(DeviceFailed):
            observatory.focuser.move(28.1)
    with pytest.raises(BadRequest, match=r"observatory\.faults: 'focuser\.jump' is not one of telescope\.point"):
        build(faults=("focuser.jump",))


def test_an_exposure_is_raw_files_truth_and_then_a_record(build, hand):
    observatory, store = build()
    state = film(observatory, hand, order())
    assert (state.phase, state.exposure_id) == ("done", 42)
    record = json.loads(store.read("raw/20261120/00000042/exposure.json"))
    assert record["object"] == "J0118+2942"
    assert record["sensors"] == {
        "111": ["raw/20261120/00000042/TMQ1202611200000004211.fits"],
        "112": ["raw/20261120/00000042/TMQ1202611200000004212.fits"],
    }
    assert sensors_taken(store, "20261120", "00000042") == {"111", "112"}
    assert sensors_taken(store, "20261120", "00000043") is None
    assert truth_tables.read_truth(store, truth_tables.sensor_key("20261120", "00000042", "112", "stars")).num_rows > 0


def test_the_same_order_gives_the_same_bytes(build, hand):
    both = []
    for folder in ("one", "two"):
        observatory, store = build(folder, events=True)
        film(observatory, hand, order())
        both.append(contents(store))
    assert both[0] == both[1]
    film(observatory, hand, order())
    assert contents(store) == both[0], "written again"


def test_the_record_is_not_there_before_the_time_is_up(build, hand):
    observatory, store = build()
    observatory.camera.expose(order(nframe=4))
    assert observatory.camera.state().remaining_s == 2.0
    hand.at = 1.5
    while len(store.list("raw")) < 2:
        threading.Event().wait(0.005)
    assert observatory.camera.state().phase == "exposing"
    with pytest.raises(DeviceFailed, match="the camera is exposing"):
        observatory.camera.expose(order(exposure_id=43))
    observatory.camera.abort()
    assert sensors_taken(store, "20261120", "00000042") is None


def test_an_aborted_exposure_leaves_no_record(build, hand, monkeypatch):
    observatory, store = build()
    reached, go = threading.Event(), threading.Event()
    real = film_camera.expose_sensor

    def slowly(*args):
        reached.set()
        assert go.wait(10)
        return real(*args)

    monkeypatch.setattr(film_camera, "expose_sensor", slowly)
    observatory.camera.expose(order())
    assert reached.wait(10)
    threading.Timer(0.02, go.set).start()
    observatory.camera.abort()
    state = observatory.camera.state()
    assert (state.phase, state.exposure_id, state.message) == ("failed", 42, "the exposure was aborted")
    assert sensors_taken(store, "20261120", "00000042") is None
    assert len(store.list("raw")) == 1


def test_darks_need_no_pointing(build, hand):
    observatory, store = build(events=True)
    state = film(observatory, hand, order(data_type="DARK", object="DARK", pointing=None))
    assert state.phase == "done"
    assert json.loads(store.read("raw/20261120/00000042/exposure.json"))["data_type"] == "DARK"
    assert not store.exists(truth_tables.events_key("20261120"))


def test_each_exposure_sees_its_own_flare(build, hand):
    observatory, store = build(events=True)
    for number in (42, 43):
        film(observatory, hand, order(exposure_id=number, start=START.replace(minute=number - 40)))
    names = truth_tables.read_truth(store, truth_tables.events_key("20261120"))["name"].to_pylist()
    assert {"flash 00000042", "flash 00000043"} <= set(names)


def test_what_the_camera_cannot_do_is_said_before_the_shutter_opens(build):
    observatory, _ = build()
    with pytest.raises(BadRequest, match="no sensor 900"):
        observatory.camera.configure(order(sensors=("900",)))


def test_a_disk_that_cannot_be_written_is_told_by_the_state(build, hand, tmp_path):
    observatory, _ = build()
    (tmp_path / "archive").write_text("a file where the archive should be")
    state = film(observatory, hand, order())
    assert state.phase == "failed"
    assert state.message.startswith("StorageUnavailable: ")


def test_short_frames_are_read_out_faster():
    assert timing_of(0.5).frame_s == 0.5
    assert timing_of(0.25).row_s == pytest.approx(timing_of(0.5).row_s / 2)
    assert timing_of(2.0).row_s == timing_of(0.5).row_s
