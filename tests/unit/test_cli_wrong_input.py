"""Test wrong input on the command line: missing objects, misspelt words, unwritable outputs, positions off the sky.

Each gives one line with the name of the error, and exit code 64, before any work. The message names the given value and
the valid ones. Covered: missing archives, nights, tables and sensors; words; paths of outputs; empty arguments; ranges
of positions; searches without results. Not covered: arguments that a library parses (test_cli.py).
"""

import errno
import json
import os
from pathlib import Path

import pytest

from gozen.archive import keys
from gozen.archive.commit import put_product, write_commit
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.stores.open_store import open_store
from gozen.archive.stores.output_files import check_output, writing
from gozen.catalog.format import layout
from gozen.cli.call import run
from gozen.cli.column_formats import format_of
from gozen.cli.table_output import text_of
from gozen.errors import BadRequest, StorageUnavailable

from .archive_samples import NIGHT, commit, processing_of, refused

LATER = "20240106"


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Work in an empty folder, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("GOZEN_CONFIG", "GOZEN_ARCHIVE", "GOZEN_INSTRUMENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(capsys):
    """Run ``gozen`` in this process; return exit code, standard output and standard error."""

    def run_here(*args):
        code = run([str(arg) for arg in args])
        printed = capsys.readouterr()
        return int(code), printed.out, printed.err

    return run_here


@pytest.fixture
def archive(tmp_path):
    """Return an archive with two sensors of one exposure, one of them refused."""
    store = open_store(tmp_path / "archive")
    one = commit(sensor="111")
    stack = put_product(store, keys.stack(processing_of(one), one.frame_id), b"pixels")
    for each in (commit(sensor="111", products={"stack": stack}), refused(sensor="112")):
        write_commit(store, processing_of(each), each)
        store.write(keys.raw(NIGHT, "e1", each.frame_id), b"raw")
    rebuild_night(store, NIGHT)
    return store


READERS = [
    ("archive", "info"),
    ("archive", "verify"),
    ("archive", "verify", NIGHT),
    ("archive", "sweep"),
    ("archive", "expire"),
    ("archive", "retain", NIGHT, "e1"),
    ("archive", "forget", NIGHT, "e1"),
    ("archive", "rebuild"),
    ("archive", "rebuild", NIGHT),
    ("catalog", "list"),
    ("catalog", "info", "lightcurves"),
    ("catalog", "verify"),
    ("catalog", "compact", "lightcurves"),
    ("catalog", "release", "r1", "lightcurves"),
    ("night", "append", NIGHT),
    ("exposures",),
    ("quality",),
    ("tracklets",),
    ("lightcurve", "--id", "5"),
    ("sql", "SELECT 1"),
]


def refusal(call, *args):
    """Return the message of a call that must be refused with 64, in one line."""
    code, out, err = call(*args)
    assert (code, out) == (64, ""), err
    assert len(err.splitlines()) == 1
    return err.removeprefix("gozen: BadRequest: ")


@pytest.mark.parametrize("verb", READERS, ids=" ".join)
def test_an_archive_that_does_not_exist_is_not_an_empty_one(call, tmp_path, verb):
    assert refusal(call, *verb, "--archive", "nwohere").startswith(f"there is no archive {tmp_path}/nwohere: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [*READERS, ("simulate",), ("doctor",)], ids=" ".join)
def test_a_file_is_not_an_archive(call, tmp_path, verb):
    (tmp_path / "file").write_text("")
    if verb == ("doctor",):
        assert call(*verb, "--archive", "file")[0] == 65
        return
    assert "file is a file; give the path of a folder" in refusal(call, *verb, "--archive", "file")


@pytest.mark.parametrize(
    "verb",
    [
        *(("archive", "verify"), ("archive", "rebuild"), ("night", "append"), ("exposures", "--csv", "--night")),
        *((verb, "--night") for verb in ("exposures", "quality", "tracklets")),
    ],
    ids=" ".join,
)
def test_a_night_that_is_not_there_is_refused(call, archive, verb):
    said = refusal(call, *verb, LATER)
    assert LATER in said
    assert NIGHT in said or verb[0] == "night"
    assert archive.list("tables/exposures") == [keys.log_table("exposures", NIGHT)]
    if verb[0] != "night":
        assert "the calendar has no such day" in refusal(call, *verb, "20240231")


def test_two_tables_of_a_release_with_one_name_are_refused(call, archive):
    said = refusal(call, "catalog", "release", "dr1", "lightcurves", "stars=gaia", "stars=gaia2")
    assert said.startswith(
        "two tables of the release have the name stars: give each a different name, such as stars_2="
    )


def test_a_night_that_the_log_lacks_says_how_to_add_it(call, archive):
    archive.delete(keys.log_table("exposures", NIGHT))
    assert f"run `gozen archive rebuild {NIGHT}`" in refusal(call, "exposures", "--night", NIGHT)
    assert call("archive", "rebuild", NIGHT)[0] == 0


def test_a_range_of_nights_without_data_is_a_result(call, archive):
    code, out, _ = call("exposures", "--night", f"{LATER}:20240131")
    assert code == 0
    assert out.startswith(f"no sensor exposures found for --night {LATER}:20240131; the log has the nights {NIGHT} to")


def test_an_empty_archive_is_not_verified(call, archive, tmp_path):
    (tmp_path / "new").mkdir()
    assert "is empty, so there is nothing to verify" in refusal(call, "archive", "verify", "--archive", "new")
    assert call("archive", "verify", NIGHT)[0] == 0


@pytest.mark.parametrize(
    ("args", "valid"),
    [
        (("exposures", "--status", "redused"), "reduced, rejected"),
        (("exposures", "--data-type", "LIGHT"), "OBJECT, DARK, FLAT, BIAS"),
        (("quality", "--data-type", "LIGHT"), "OBJECT, DARK, FLAT, BIAS"),
        (("quality", "--reason", "NoisyFram"), "NoisyFrame, "),
        (("tracklets", "--kind", "comet"), "mover, streak and cosmic"),
    ],
)
def test_a_word_that_does_not_exist_is_refused_with_those_that_do(call, archive, args, valid):
    said = refusal(call, *args)
    assert args[-1] in said
    assert valid in said


def test_a_sensor_that_the_camera_lacks_is_refused(call, archive, tmp_path):
    assert "no sensor 999" in refusal(call, "masters", "--sensor", "999")
    assert "the camera of the demo has 84 sensors" in refusal(call, "demo", "--sensors", "999")
    assert not (tmp_path / "gozen-demo").exists()


def test_a_table_that_does_not_exist_is_named_with_those_that_do(call, archive):
    archive.write(layout.manifest("mine", 1), b"{}")
    code, _, err = call("catalog", "info", "mein")
    assert code == 65
    assert "has no table 'mein'; its tables are mine" in err


def test_words_may_still_be_patterns(call, archive):
    found = json.loads(
        call("exposures", "--json", "--status", "Rej*", "--data-type", "object", "--reason", "Satur*")[1]
    )
    assert [row["sensor"] for row in found] == ["112"]


@pytest.mark.parametrize(
    ("args", "conditions"),
    [
        (("exposures", "--object", "Moon 1", "--sensor", "9*"), "--object 'Moon 1' --sensor '9*'"),
        (("exposures", "--ra", "10", "--dec", "-5"), "--ra 10 --dec -5 --radius 1"),
        (("exposures", "--night", f":{NIGHT}", "--data-type", "DARK"), f"--night :{NIGHT} --data-type DARK"),
        (("quality", "--sensor", "999", "--refused"), "--sensor 999 --refused"),
        (("tracklets", "T1", "--kind", "mover", "--rate", "1:2", "--significance", "3"), "T1 --kind mover --rate 1:2"),
    ],
)
def test_a_search_that_finds_nothing_names_its_conditions(call, archive, args, conditions):
    code, out, _ = call(*args)
    assert code == 0
    assert f"found for {conditions}" in out
    assert f"the log has the nights {NIGHT} to {NIGHT}" in out
    code, out, err = call(*args, "--csv")
    assert code == 0
    assert len(out.splitlines()) == 1
    assert f"found for {conditions}" in err


def test_an_empty_log_is_named(call, tmp_path):
    (tmp_path / "new").mkdir()
    assert call("exposures", "--archive", "new")[1].startswith("no sensor exposures found; the log of ")


@pytest.mark.parametrize(
    "args",
    [
        ("exposures", "--parquet"),
        ("sql", "SELECT 1", "--parquet"),
        ("tracklets", "--station", "381", "--submitter", "A. Observer", "--ades"),
        ("lightcurve", "--id", "5", "--parquet"),
        ("night", "append", NIGHT, "--result"),
        ("watch", "camera", "--once", "--status"),
    ],
    ids=" ".join,
)
def test_a_path_that_cannot_be_written_is_refused_before_the_work(call, archive, tmp_path, args):
    (tmp_path / "camera").mkdir()
    (tmp_path / "file").write_text("")
    for path, said in (
        ("no/such/file", "its folder does not exist: create it"),
        (".", "it is a folder: give the path of a file"),
        ("file/below", "a file is in the place of a folder"),
    ):
        assert refusal(call, *args, path).startswith(f"cannot write {path}: {said}")


def test_a_picture_is_checked_before_the_look_up(call, archive):
    said = refusal(call, "lightcurve", "--id", "5", "--plot", "no/such.svg")
    assert said.startswith("cannot write no/such.svg: its folder does not exist")


def test_a_demo_cannot_be_written_into_a_file(call, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write file: a file is in the place of a folder" in refusal(call, "demo", "--folder", "file")


def test_a_pipe_is_not_replaced_by_a_table(call, archive, tmp_path):
    # Never with /dev/null: without the check, root would replace the device of the machine by a table.
    os.mkfifo(tmp_path / "pipe")
    assert "a device or a pipe" in refusal(call, "exposures", "--parquet", "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_is_not_replaced_by_a_status(call, archive, tmp_path):
    (tmp_path / "camera").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert "a device or a pipe" in refusal(call, "watch", "camera", "--once", "--status", "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("args", [("exposures", "--parquet"), ("watch", "camera", "--once", "--status")], ids=" ".join)
def test_a_file_that_is_replaced_needs_a_folder_that_can_be_written(call, archive, tmp_path, monkeypatch, args):
    (tmp_path / "camera").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/file").write_text("")
    # As root, no permission is missing.
    monkeypatch.setattr("os.access", lambda path, *_: Path(path).name != "closed")
    assert "does not have the permission" in refusal(call, *args, "closed/file")


def test_a_read_only_file_can_be_replaced_and_not_written(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("")
    monkeypatch.setattr("os.access", lambda asked, *_: asked != path)
    check_output(path, is_replaced=True)
    with pytest.raises(BadRequest, match="does not have the permission"):
        check_output(path)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EACCES, BadRequest),
        (errno.EROFS, BadRequest),
        (errno.ENAMETOOLONG, BadRequest),
        (errno.ENOSPC, StorageUnavailable),
        (errno.EIO, StorageUnavailable),
    ],
)
def test_whether_another_path_helps_decides_the_error(tmp_path, number, error):
    with pytest.raises(error, match="cannot write"), writing(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "new"):
        with pytest.raises(BadRequest, match="does not have the permission"):
            check_output(path)


@pytest.mark.parametrize(
    "args",
    [
        *(("masters", ""), ("watch", ""), ("exposures", "--night", ""), ("exposures", "--night=")),
        *(("run", "recipe", "--raw", ""), ("exposures", "--parquet", ""), ("archive", "verify", "--", "")),
    ],
    ids=" ".join,
)
def test_an_empty_argument_is_not_everything_and_not_this_folder(call, archive, args):
    assert "an argument is empty" in refusal(call, *args)


def test_an_empty_text_of_a_header_can_be_searched(call, archive):
    assert len(json.loads(call("exposures", "--json", "--filter", "")[1])) == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("exposures", "--ra", "400", "--dec", "0"), "ra is 400"),
        (("exposures", "--ra", "360", "--dec", "0"), "ra is 360"),
        (("tracklets", "--ra", "-10", "--dec", "0"), "ra is -10"),
        (("exposures", "--ra", "nan", "--dec", "0"), "ra is nan"),
        (("exposures", "--ra", "10", "--dec", "91"), "dec is 91"),
        (("exposures", "--ra", "10", "--dec", "0", "--radius", "-1"), "the radius is -1"),
        (("exposures", "--radius", "3"), "needs --ra and --dec"),
        (("lightcurve", "--id", "5", "--radius", "3"), "needs --ra and --dec"),
        (("lightcurve", "--ra", "400", "--dec", "0"), "ra is 400"),
        (("lightcurve", "--ra", "-10", "--dec", "0"), "ra is -10"),
        (("lightcurve", "--ra", "24:00:00", "--dec", "0"), "ra is 360"),
        (("lightcurve", "--ra", "10", "--dec", "91"), "dec is 91"),
        (("lightcurve", "--ra", "10", "--dec", "0", "--radius", "1e9"), "the radius is 277778 degrees"),
        (("night", "append", "--region", "400,0,1"), "ra is 400"),
        (("simulate", "--ra", "360"), "ra is 360"),
        (("tracklets", "--rate", "-5:1"), "is not a range"),
        (("tracklets", "--rate", "nan:"), "is not a range"),
        (("tracklets", "--significance", "-1"), "--significance"),
    ],
)
def test_what_is_outside_its_range_is_refused(call, archive, args, said):
    assert said in refusal(call, *args)


@pytest.mark.parametrize(
    ("column", "printed"),
    [
        ("mjd", "61374.319231954"),
        ("mjd_start", "61374.319231954"),
        ("bjd_tdb", "61374.319231954"),
        ("min(l.mjd)", "61374.319231954"),
        ("ra", "61374.319232"),
        ("dec_mid", "61374.319232"),
        ("ra_meas", "61374.319232"),
        ("mag_err", "61374.319"),
        ("ra_err", "61374.31923"),
        ("pmra", "61374.31923"),
        ("radius", "61374.31923"),
    ],
)
def test_the_column_decides_how_many_decimals_are_printed(column, printed):
    assert text_of(61374.3192319536, format_of(column)) == printed


def test_a_wide_table_in_a_pipe_loses_no_digits(call, archive):
    write_commit(archive, processing_of(commit("e" * 150)), commit("e" * 150))
    rebuild_night(archive, NIGHT)
    out = call("quality")[1]
    assert "e" * 150 in out
    assert "60314.500000000" in out
    assert "…" not in out


def test_times_are_printed_with_the_distance_of_frames(call, archive):
    assert "60314.500000000" in call("quality")[1]
    assert "60314.500000000" in call("exposures")[1]
