"""Test a scan of the watched folder: which files count, when a file is complete, and its copy into the archive.

Files are real, the time is simulated.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from tests.reductions import SMALL

from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest, CorruptFile, MissingObject, StorageUnavailable
from gozen.instrument.profile import parse_profile
from gozen.watch.completeness import Arriving
from gozen.watch.scan_folder import fits_files_below, is_whole, verdict
from gozen.watch.spool import Intake, read_arrival

WORDS = {
    "OBJECT": "field", "DATA-TYP": "OBJECT", "UTC": "2026-01-15T13:00:00", "UTC-EXP": "2026-01-15T12:59:59",
    "EXPTIME1": 0.5, "TFRAME": 0.5, "TRLSTEP1": 0.0, "RA": "01:19:00", "DEC": "+29:42:00", "DET_ID": "111",
    "EXP_ID": "00000007", "FRAME_ID": "A7",
}  # fmt: skip


KEY = "raw/20260115/00000007/A7.fits"


def raw_bytes(extensions=0, **words):
    image = fits.PrimaryHDU(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.header.update({**WORDS, **words})
    more = [fits.ImageHDU(np.zeros((5, 5), np.float32)) for _ in range(extensions)]
    sink = io.BytesIO()
    fits.HDUList([image, *more]).writeto(sink)
    return sink.getvalue()


@pytest.fixture
def profile():
    return parse_profile(SMALL, "small")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "archive")


@pytest.mark.parametrize("extensions", [0, 1, 2])
def test_a_file_is_whole_at_its_full_length_only(folder, extensions):
    data, path = raw_bytes(extensions), folder / "a.fits"
    for length in (0, 1, 79, 2880, len(data) - 1):
        path.write_bytes(data[:length])
        assert not is_whole(path, length), length
    path.write_bytes(data)
    assert is_whole(path, len(data))


def test_what_is_no_fits_file_is_never_whole(folder):
    (folder / "a.fits").write_bytes(b"\0" * 28800)
    assert not is_whole(folder / "a.fits", 28800)


def test_a_compressed_file_is_whole_when_it_can_be_decompressed(folder):
    data, path = gzip.compress(raw_bytes()), folder / "a.fits.gz"
    path.write_bytes(data[:-4])
    assert not is_whole(path, len(data) - 4)
    path.write_bytes(data)
    assert is_whole(path, len(data))


def test_a_compressed_file_that_a_disk_does_not_give_out_is_not_cut_short(folder, monkeypatch):
    def broken_disk(_self, _length):
        raise OSError(errno.EIO, "Input/output error")

    (folder / "a.fits.gz").write_bytes(gzip.compress(raw_bytes()))
    monkeypatch.setattr(gzip.GzipFile, "read", broken_disk)
    with pytest.raises(StorageUnavailable, match=r"a\.fits\.gz"):
        is_whole(folder / "a.fits.gz", 10)


def test_only_fits_files_that_are_not_hidden_count(folder):
    for name in ("b.fits", "a.FITS.gz", ".a.fits.Xy12", ".hidden.fits", "notes.txt", "night/c.fit", "refused/d.fits"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert [entry.name for entry in fits_files_below(folder)] == ["a.FITS.gz", "b.fits", "night/c.fit"]


def test_a_folder_that_is_gone_is_named(folder):
    with pytest.raises(MissingObject, match="nowhere"):
        fits_files_below(folder / "nowhere")


@pytest.mark.parametrize(
    ("same", "whole", "quiet_s", "expected"),
    [(False, True, 99, "wait"), (True, True, 0, "whole"), (True, False, 59, "wait"), (True, False, 60, "broken")],
)
def test_a_file_is_taken_when_nobody_writes_to_it(same, whole, quiet_s, expected):
    assert verdict(same=same, whole=whole, quiet_s=quiet_s, patience_s=60) == expected


def test_a_file_needs_two_looks_and_one_that_grows_is_left(folder, store, profile):
    arriving, data = Arriving(folder, store, profile, patience_s=60), raw_bytes()
    (folder / "a.fits").write_bytes(data)
    (folder / "b.fits").write_bytes(data[:3000])
    assert arriving.look(0.0) == ([], [])
    groups, refused = arriving.look(1.0)
    assert [(group.night, group.exposure, len(group.files)) for group in groups] == [("20260115", "00000007", 1)]
    assert (refused, arriving.unread) == ([], 1)
    (folder / "b.fits").write_bytes(data[:4000])
    assert arriving.look(59.0) == ([], [])
    assert arriving.look(118.0) == ([], [])
    groups, _ = arriving.look(119.0)
    assert len(groups) == 1
    assert arriving.unread == 0


def test_what_is_no_raw_file_is_refused_once(folder, store, profile):
    (folder / "a.fits").write_bytes(b"noise" * 1000)
    (folder / "b.fits").write_bytes(raw_bytes(UTC="yesterday"))
    arriving = Arriving(folder, store, profile, patience_s=5)
    arriving.look(0.0)
    refused = [one for now in (1.0, 6.0, 7.0) for one in arriving.look(now)[1]]
    assert sorted(one.path.name for one in refused) == ["a.fits", "b.fits"]
    assert all(isinstance(one.reason, CorruptFile) for one in refused)
    assert sorted(str(one.reason).partition(":")[0] for one in refused) == ["a.fits", "b.fits"]


def test_files_without_exposure_number_join_what_the_archive_has_of_their_night(folder, store):
    profile = parse_profile(SMALL.replace("raw: cube", "raw: frames"), "small")
    for number, minute in enumerate((0, 1, 45)):
        image = fits.PrimaryHDU(np.zeros((3, 4), np.int16))
        image.header.update({**WORDS, "EXP_ID": "", "FRAME_ID": f"F{number}", "UTC": f"2026-01-15T13:{minute:02d}:00"})
        image.writeto(folder / f"{number}.fits")
    store.write("raw/20260115/field/F0.fits", (folder / "0.fits").read_bytes())
    (folder / "0.fits").unlink()
    arriving = Arriving(folder, store, profile, patience_s=5)
    arriving.look(0.0)
    assert [(one.exposure, len(one.files)) for one in arriving.look(1.0)[0]] == [("field", 1), ("field-2", 1)]


def test_each_cube_of_a_sensor_is_an_exposure_of_its_own(folder, store, profile):
    for number in range(3):
        data = raw_bytes(EXP_ID="", FRAME_ID=f"F{number}", UTC=f"2026-01-15T13:00:0{number}")
        (folder / f"{number}.fits").write_bytes(data)
    arriving = Arriving(folder, store, profile, patience_s=5)
    arriving.look(0.0)
    assert [one.exposure for one in arriving.look(1.0)[0]] == ["field", "field-2", "field-3"]


@pytest.fixture
def taken(folder, store, profile):
    """Return a function that writes a file and takes it in."""

    def take(name="a.fits", data=None, **options):
        (folder / name).write_bytes(raw_bytes() if data is None else data)
        arrival = read_arrival(folder / name, profile)
        return Intake(folder, store, **options).take(arrival, KEY), KEY

    return take


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_a_file_comes_into_the_archive_as_it_is(folder, store, taken, compressed, keep):
    data = gzip.compress(raw_bytes()) if compressed else raw_bytes()
    held, key = taken("a.fits.gz" if compressed else "a.fits", data, keep=keep)
    assert key == "raw/20260115/00000007/A7.fits"
    assert store.read(key) == raw_bytes()
    assert held.exists()
    assert (held.parent == folder) == keep
    Intake(folder, store, keep=keep).finish(held)
    assert held.exists() == keep
    assert store.read(key) == raw_bytes()


def test_finishing_it_again_after_an_error_removes_the_folders_that_are_left(folder, store, profile):
    (folder / "one/two").mkdir(parents=True)
    (folder / "one/two/a.fits").write_bytes(raw_bytes())
    held = Intake(folder, store).take(read_arrival(folder / "one/two/a.fits", profile), KEY)
    held.unlink()
    held.parent.rmdir()
    Intake(folder, store).finish(held)
    assert list((folder / ".gozen").rglob("*")) == []


def test_taking_it_again_changes_nothing(folder, store, profile):
    (folder / "a.fits").write_bytes(raw_bytes())
    arrival = Intake(folder, store).collect(read_arrival(folder / "a.fits", profile))
    held = Intake(folder, store).take(arrival, KEY)
    assert Intake(folder, store).take(arrival, KEY) == held


def test_another_file_of_the_same_name_is_not_mixed_up(folder, store, taken):
    first, key = taken()
    with pytest.raises(CorruptFile, match="already contains"):
        taken(data=raw_bytes(RA="02:00:00"))
    assert store.read(key) == raw_bytes()
    assert first.read_bytes() == raw_bytes()
    assert len(list((folder / ".gozen").rglob("*.fits"))) == 2


def test_what_is_written_under_its_name_later_does_not_reach_the_archive(folder, store, taken):
    _, key = taken()
    (folder / "a.fits").write_bytes(b"something else")
    assert store.read(key) == raw_bytes()


def test_refused_files_do_not_write_over_one_another(folder, store):
    intake = Intake(folder, store)
    for text in ("one", "two"):
        (folder / "a.fits").write_text(text)
        intake.refuse(folder / "a.fits")
    assert sorted(path.read_text() for path in (folder / "refused").iterdir()) == ["one", "two"]


def test_a_refused_file_that_was_moved_without_an_answer_is_reported_where_it_is(folder, store, monkeypatch):
    intake, path = Intake(folder, store), folder / "a.fits"
    path.write_text("one")
    carry_out = Path.rename

    def no_answer(*words):
        carry_out(*words)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", no_answer)
        with pytest.raises(StorageUnavailable):
            intake.refuse(path)
    path.write_text("another, of the same name")
    assert intake.refuse(path).read_text() == "one"
    assert path.exists()
    assert intake.refuse(path).read_text() == "another, of the same name"
    assert not path.exists()


def test_a_file_that_is_gone_is_missing(folder, store, profile):
    (folder / "a.fits").write_bytes(raw_bytes())
    arrival = read_arrival(folder / "a.fits", profile)
    (folder / "a.fits").unlink()
    with pytest.raises(MissingObject):
        Intake(folder, store).take(arrival, KEY)


def test_a_file_that_changed_after_its_header_was_read_stays_for_the_next_look(folder, store, profile):
    (folder / "a.fits").write_bytes(raw_bytes())
    arrival = read_arrival(folder / "a.fits", profile)
    os.utime(folder / "a.fits", ns=(0, 1))
    with pytest.raises(MissingObject, match="has changed"):
        Intake(folder, store).take(arrival, KEY)
    assert (folder / "a.fits").exists()
    assert store.list("raw") == []


@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_that_was_moved_without_an_answer_is_not_mixed_up_with_others_of_its_name(
    tmp_path, folder, store, profile, monkeypatch, is_link
):
    def comes(text):
        if is_link:
            (tmp_path / text).write_text(text)
            (folder / "a.fits").symlink_to(tmp_path / text)
        else:
            (folder / "a.fits").write_text(text)

    intake = Intake(folder, store)
    comes("first")
    first = intake.spooled(folder / "a.fits")
    comes("second")
    step = "unlink" if is_link else "rename"
    carry_out = getattr(Path, step)

    def no_answer(*words):
        carry_out(*words)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, no_answer)
        with pytest.raises(StorageUnavailable):
            intake.spooled(folder / "a.fits")
    comes("third")
    held = [first, intake.spooled(folder / "a.fits"), intake.spooled(folder / "a.fits")]
    assert [path.read_text() for path in held] == ["first", "second", "third"]


def test_a_link_that_could_not_be_deleted_is_moved_again(tmp_path, folder, store, monkeypatch):
    (tmp_path / "a").write_text("a")
    (folder / "a.fits").symlink_to(tmp_path / "a")
    intake = Intake(folder, store)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda _: (_ for _ in ()).throw(OSError(errno.EACCES, "Permission denied")))
        with pytest.raises(StorageUnavailable):
            intake.spooled(folder / "a.fits")
    assert intake.spooled(folder / "a.fits") == folder / ".gozen/a.fits"
    assert not os.path.lexists(folder / "a.fits")


def test_a_refused_file_that_somebody_removes_stops_nothing(folder, store):
    assert Intake(folder, store).refuse(folder / "gone.fits") == folder / "gone.fits"


def test_a_folder_has_one_watch(folder, store):
    first = Intake(folder, store)
    first.claim()
    with pytest.raises(BadRequest, match="another `gozen watch`"):
        Intake(folder, store).claim()
    first.release()
    Intake(folder, store).claim()


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_to_a_file_is_taken_as_the_file_which_stays_as_it_is(tmp_path, folder, store, profile, relative):
    real = tmp_path / "real/a.fits"
    real.parent.mkdir()
    real.write_bytes(raw_bytes())
    (folder / "a.fits").symlink_to("../real/a.fits" if relative else real)
    arriving = Arriving(folder, store, profile, patience_s=5)
    arriving.look(0.0)
    ((group,), _) = arriving.look(1.0)
    held = Intake(folder, store).take(group.files[0].arrival, group.files[0].key)
    assert store.read(KEY) == raw_bytes()
    assert not store.path(KEY).is_symlink()
    assert not os.path.lexists(folder / "a.fits")
    real.write_bytes(b"changed")
    assert store.read(KEY) == raw_bytes()
    Intake(folder, store).finish(held)
    assert real.read_bytes() == b"changed"
    assert not list((folder / ".gozen").iterdir())


def test_links_to_folders_or_to_nothing_are_named_once_and_left(tmp_path, folder, store, profile, caplog):
    (tmp_path / "night").mkdir()
    (folder / "night").symlink_to("../night")
    (folder / "gone.fits").symlink_to("../gone.fits")
    arriving = Arriving(folder, store, profile, patience_s=5)
    for now in (0.0, 1.0, 9.0):
        assert arriving.look(now) == ([], [])
    said = sorted(record.getMessage() for record in caplog.records)
    assert len(said) == 2
    assert "gone.fits is ignored, because it is a link to a path that does not exist" in said[0]
    assert "night is ignored, because it is a link to a folder" in said[1]
    assert arriving.unread == 0


def test_a_link_that_is_refused_stays(tmp_path, folder, store):
    (tmp_path / "a.fits").write_bytes(b"no FITS")
    (folder / "a.fits").symlink_to("../a.fits")
    assert Intake(folder, store).refuse(folder / "a.fits") == folder / "a.fits"
    assert (folder / "a.fits").read_bytes() == b"no FITS"


def test_another_name_of_a_file_cannot_change_the_archive(tmp_path, folder, store, taken):
    (tmp_path / "mine.fits").write_bytes(raw_bytes())
    os.link(tmp_path / "mine.fits", folder / "a.fits")
    arrival = read_arrival(folder / "a.fits", parse_profile(SMALL, "small"))
    Intake(folder, store).take(arrival, KEY)
    with (tmp_path / "mine.fits").open("r+b") as stream:
        stream.write(b"something else")
    assert store.read(KEY) == raw_bytes()


def test_a_copy_of_a_file_is_refused_and_named(folder, store, profile):
    for name in ("a.fits", "a (1).fits"):
        (folder / name).write_bytes(raw_bytes(FRAME_ID=""))
    arriving = Arriving(folder, store, profile, patience_s=5)
    arriving.look(0.0)
    ((group,), (refusal,)) = arriving.look(1.0)
    assert [one.arrival.path.name for one in group.files] == ["a.fits"]
    assert refusal.path.name == "a (1).fits"
    assert "the same frame as a.fits" in str(refusal.reason)


def test_an_exposure_that_is_being_reduced_is_closed(folder, store):
    profile = parse_profile(SMALL.replace("raw: cube", "raw: frames"), "small")
    busy = set()
    arriving = Arriving(folder, store, profile, patience_s=5, closed=lambda *name: name in busy)
    found = []
    for number in range(3):
        image = fits.PrimaryHDU(np.zeros((3, 4), np.int16))
        image.header.update({**WORDS, "EXP_ID": "", "FRAME_ID": f"F{number}", "UTC": f"2026-01-15T13:0{number}:00"})
        image.writeto(folder / f"{number}.fits")
        for now in (3.0 * number, 3.0 * number + 1):
            found += [(one.exposure, len(one.files)) for one in arriving.look(now)[0]]
        if number == 1:
            busy.add(("20260115", "field", "111"))
    assert found == [("field", 1), ("field", 1), ("field-2", 1)]


def test_a_camera_at_work_is_waited_for_and_an_old_night_is_not(folder, store):
    profile = parse_profile(SMALL.replace("raw: cube", "raw: frames"), "small")
    image = fits.PrimaryHDU(np.zeros((3, 4), np.int16))
    image.header.update({**WORDS, "EXP_ID": "", "EXPTIME1": 300.0})
    image.writeto(folder / "0.fits")
    ended = 1768482000.0 + 300  # 2026-01-15T13:00:00 and the exposure
    for age_s, given in ((10.0, 0), (890.0, 0), (910.0, 1), (1e7, 1), (-1e7, 1)):
        arriving = Arriving(folder, store, profile, 60, 5.0, utc_s=lambda age_s=age_s: ended + age_s)
        for now in (0.0, 1.0):
            arriving.look(now)
        groups, _ = arriving.look(7.0)
        assert len(groups) == given, age_s
        assert arriving.unread == 1 - given
