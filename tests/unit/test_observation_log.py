"""Test the observation log: tables made from commits, the same for any order of events, and the searches in them."""

import hashlib

import pyarrow.parquet as pq
import pytest

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.log.search_log import LogSelection, search_exposures, search_quality
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest, UnreadableInput
from gozen.resources.sky_circle import SkyCircle

from .archive_samples import NIGHT, commit, processing_of, refused


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "archive")


def put(store, *commits):
    for one in commits:
        write_commit(store, processing_of(one), one)


def logged(store, *commits):
    """Commit, and make the tables of all nights."""
    put(store, *commits)
    for night in {one.night for one in commits}:
        rebuild_night(store, night)
    return store


def digests(store):
    return [hashlib.sha256(store.read(keys.log_table(table, NIGHT))).hexdigest() for table in ("exposures", "quality")]


def sensors(table):
    return table["sensor"].to_pylist()


def test_a_sensor_has_a_row_with_its_summary_and_its_reason(store):
    logged(store, commit(sensor="111"), refused(sensor="112"))
    good, bad = search_exposures(store).to_pylist()
    assert (good["night"], good["exposure"], good["sensor"], good["status"]) == (20240105, "e1", "111", "reduced")
    assert (good["zero_point"], good["limiting_magnitude"], good["n_rejected_frames"]) == (23.4, 18.7, 1)
    assert (good["reason"], good["value"]) == (None, None)
    assert (bad["status"], bad["reason"], bad["value"], bad["limit"]) == ("rejected", "SaturatedField", 25000, 20800)


def test_quality_has_a_row_for_each_frame_and_each_gate(store):
    logged(store, commit())
    frames = search_quality(store, gates=False).to_pylist()
    assert [row["frame"] for row in frames] == [0, 1]
    assert (frames[0]["passed"], frames[0]["background_adu"], frames[0]["shift_y_px"]) == (True, 101.5, -0.2)
    assert (frames[1]["passed"], frames[1]["reason"], frames[1]["value"]) == (False, "NoisyFrame", 4.0)
    (gate,) = search_quality(store, frames=False).to_pylist()
    assert (gate["gate"], gate["value"], gate["limit"], gate["unit"]) == ("NoisyFrame", 1.1, 3.0, "ratio")
    assert len(search_quality(store, refused_only=True)) == 1


def test_the_tables_depend_on_the_commits_alone(tmp_path):
    every = [commit(e, s) for e in ("e2", "e10", "e1") for s in ("112", "111")]
    at_once = logged(open_store(tmp_path / "a"), *every)
    one_by_one = open_store(tmp_path / "b")
    for one in every:
        logged(one_by_one, one)
    assert digests(at_once) == digests(one_by_one)


def test_making_them_again_changes_nothing_and_reads_no_commit_again(store):
    logged(store, commit())
    before = digests(store)
    place = keys.commit(processing_of(commit()), "111")
    store.write(place, b"not read again")
    rebuild_night(store, NIGHT)
    assert digests(store) == before


def test_a_table_of_another_state_is_made_from_all_commits(store):
    logged(store, commit(sensor="111"))
    old = store.read(keys.log_table("quality", NIGHT))
    logged(store, commit(sensor="112"))
    whole = digests(store)
    store.write(keys.log_table("quality", NIGHT), old)  # as a writer that was killed between the two leaves them
    rebuild_night(store, NIGHT)
    assert digests(store) == whole


def test_a_complete_later_run_takes_the_place_of_the_earlier_one(store):
    logged(store, commit(sensor="111"), commit(sensor="112"))
    logged(store, commit(sensor="111", run="r2", nframe=1))
    assert set(search_exposures(store)["run"].to_pylist()) == {"r1"}
    logged(store, commit(sensor="112", run="r2"))
    assert set(search_exposures(store)["run"].to_pylist()) == {"r2"}
    assert set(search_quality(store)["run"].to_pylist()) == {"r2"}
    assert len(search_exposures(store)) == 2


class BusyStore(DirectoryStore):
    """A directory into which somebody commits while the tables are being written."""

    def __init__(self, root, late):
        super().__init__(root)
        self.late = late

    def write(self, key, data):
        super().write(key, data)
        while self.late and key.startswith("tables/exposures"):
            put(self, self.late.pop())


def test_a_commit_that_comes_meanwhile_is_in_the_tables(tmp_path):
    busy = BusyStore(tmp_path, [commit(sensor="112")])
    put(busy, commit(sensor="111"))
    assert rebuild_night(busy, NIGHT) == 2
    assert sensors(search_exposures(busy)) == ["111", "112"]


def test_an_empty_night_gives_empty_tables(store):
    assert rebuild_night(store, NIGHT) == 0
    assert search_exposures(store).num_rows == 0


def test_a_commit_that_cannot_be_read_is_named(store):
    put(store, commit())
    store.write(keys.commit(processing_of(commit()), "112"), b"{")
    with pytest.raises(UnreadableInput, match=r"112\.json"):
        rebuild_night(store, NIGHT)


def test_a_table_that_cannot_be_read_is_named_and_made_again(store):
    logged(store, commit())
    store.write(keys.log_table("exposures", NIGHT), b"PAR1")
    with pytest.raises(UnreadableInput, match="gozen archive rebuild 20240105"):
        search_exposures(store)
    rebuild_night(store, NIGHT)
    assert len(search_exposures(store)) == 1


def test_others_can_read_the_tables(store):
    logged(store, commit())
    table = pq.read_table(store.path(keys.log_table("exposures", NIGHT)))
    assert table["object"].to_pylist() == ["J0118+2942"]
    assert table.schema.field("limiting_magnitude").metadata is not None


@pytest.fixture
def four(store):
    return logged(
        store,
        commit("e1", "111", night="20240105", object="M-dwarf 7"),
        commit("e1", "112", night="20240105", object="M-dwarf 7"),
        refused(exposure="e2", sensor="111", night="20240106", filter="V"),
        commit("e3", "111", night="20240107", data_type="DARK", project="calibration"),
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["e1", "e1", "e2", "e3"]),
        ({"first_night": "20240106"}, ["e2", "e3"]),
        ({"first_night": "20240106", "last_night": "20240106"}, ["e2"]),
        ({"last_night": "20240105"}, ["e1", "e1"]),
        ({"object": "m-dwarf*"}, ["e1", "e1"]),
        ({"sensor": "112"}, ["e1"]),
        ({"sensor": "11?", "exposure": "e1"}, ["e1", "e1"]),
        ({"status": "rejected"}, ["e2"]),
        ({"reason": "SaturatedField"}, ["e2"]),
        ({"filter": "V"}, ["e2"]),
        ({"data_type": "dark"}, ["e3"]),
        ({"project": "cal*"}, ["e3"]),
        ({"first_night": "20250101"}, []),
        ({"circle": SkyCircle(19.7, 29.0, 0.8)}, ["e1", "e1", "e2", "e3"]),
        ({"circle": SkyCircle(19.7, 29.0, 0.6)}, []),
    ],
)
def test_searches_give_what_fits_everything_asked(four, asked, found):
    assert search_exposures(four, LogSelection(**asked))["exposure"].to_pylist() == found


def test_a_circle_reaches_over_the_first_meridian(store):
    summary = commit().summary.model_copy(update={"ra": 359.9, "dec": 0.0})
    logged(store, commit(summary=summary), commit(sensor="112", summary=summary.model_copy(update={"ra": None})))
    assert len(search_exposures(store, LogSelection(circle=SkyCircle(0.1, 0.0, 0.21)))) == 1


def test_what_cannot_be_asked_is_said(four):
    with pytest.raises(BadRequest, match="is later than the last night"):
        LogSelection("20240107", "20240105")
    with pytest.raises(BadRequest, match="use `gozen exposures`"):
        search_quality(four, LogSelection(status="rejected"))
