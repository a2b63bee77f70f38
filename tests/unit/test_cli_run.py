"""Test the messages of `gozen run`, `reduce`, `masters` and `archive forget` about raw files.

Not covered: the grouping of raw files, and the reduction, which existing commits replace here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gozen.archive.commit import write_commit
from gozen.archive.provenance import Provenance
from gozen.cli.call import run
from gozen.errors import ExitCode
from gozen.instrument.profile import parse_profile

from .archive_samples import commit, processing_of
from .test_exposure_grouping import PROFILE, Camera

RECIPE = """\
Observer: o
Project: p
Operations:
- Pointing: {ra: 150.0, dec: 20.0}
- SetParameter: {tinteg_sec: 30, nframe: 2}
- Exposure: M 67
"""
NIGHT = "20240301"
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    monkeypatch.chdir(tmp_path)
    for name in ("GOZEN_CONFIG", "GOZEN_ARCHIVE", "GOZEN_INSTRUMENT", "GOZEN_REFERENCE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cam.yaml").write_text(PROFILE)
    (tmp_path / "gozen.toml").write_text('archive = "archive"\ninstrument = "cam.yaml"\nworkers = 1\n')
    (tmp_path / "r.yaml").write_text(RECIPE)
    return Camera(tmp_path, parse_profile(PROFILE, "tiny"))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run_here(*words: str) -> tuple[int, str]:
        code = run(list(words))
        printed = capsys.readouterr()
        return int(code), " ".join((printed.out + printed.err).split())

    return run_here


def done(camera: Camera, exposure: str, **inputs: str) -> None:
    """Leave the commit of a reduction."""
    provenance = Provenance(code_version="0.1.0", inputs=inputs)
    one = commit(exposure=exposure, sensor="1", night=NIGHT, frame_id="001", frames=(), provenance=provenance)
    write_commit(camera.store, processing_of(one), one)


def test_exposures_that_no_step_asked_for_are_named_and_the_exit_code_says_so(camera: Camera, call: Call) -> None:
    camera.take(camera.shot(0), camera.shot(40, OBJECT="M 44"), camera.shot(80, DEC=-20.0))
    done(camera, "m-67")
    code, said = call("run", "r.yaml")
    assert code == ExitCode.NOT_ASKED_FOR == 66
    assert (
        "not requested: 20240301 m-44: no step of the recipe requests 'M 44' at ra 150.0000, dec +20.0000 deg" in said
    )
    assert "not requested: 20240301 m-67-2: no step of the recipe requests 'M 67' at ra 150.0000, dec -20.0000" in said


def test_when_all_was_asked_for_the_exit_code_is_0(camera: Camera, call: Call) -> None:
    camera.take(camera.shot(0), camera.shot(40, IMAGETYP="FLAT"))
    done(camera, "m-67")
    assert call("run", "r.yaml")[0] == ExitCode.DONE


def test_late_frames_are_work_for_the_same_command(camera: Camera, call: Call) -> None:
    camera.take(camera.shot(0))
    done(camera, "m-67")
    late = camera.shot(9000)
    code, said = call("run", "r.yaml", "--raw", str(late))
    assert "20240301 m-67-2: OBJECT 'M 67', 1 sensors, 1 files" in said
    # Its few pixels are no frame of this camera, and so the work shows as a rejection.
    assert code == ExitCode.DONE
    assert "rejected, CorruptFile: m-67-2/1" in said


def test_files_that_came_after_a_numbered_exposure_was_reduced_are_told(camera: Camera, call: Call) -> None:
    camera.take(camera.shot(0, EXP_ID="7"), camera.shot(40, EXP_ID="7"))
    done(camera, "00000007", **{"001.fits": "0" * 64})
    code, said = call("reduce", NIGHT)
    assert code == ExitCode.DONE
    assert "came later, files are not in the result: 00000007/1: it was reduced before they arrived" in said


def test_a_copy_is_named_and_a_raw_file_can_be_taken_out(camera: Camera, call: Call) -> None:
    first, copy = camera.shot(0, "sky/s-0.fits"), camera.folder / "sky/s-0 (1).fits"
    copy.write_bytes(first.read_bytes())
    camera.shot(40, "sky/s-1.fits")
    _, said = call("masters", "sky")
    assert (
        "left out, CorruptFile: s-0 (1).fits: it is the same frame as s-0.fits, and each frame is archived once" in said
    )
    assert "m-67: OBJECT 'M 67', 1 sensors, 2 files" in said
    assert call("archive", "forget", NIGHT, "m-67", "s-1") == (0, f"raw/{NIGHT}/m-67/s-1.fits: deleted")
    assert camera.exposures() == {"m-67": ["s-0"]}
    done(camera, "m-67", **{"s-0.fits": "0" * 64})
    code, said = call("archive", "forget", NIGHT, "m-67", "s-0")
    assert code == ExitCode.BAD_REQUEST
    assert "s-0.fits is not removed: the commit" in said


def test_a_target_that_lies_elsewhere_is_told_with_both_places(camera: Camera, call: Call) -> None:
    camera.take(camera.shot(0, DEC=-20.0))
    code, said = call("run", "r.yaml")
    assert code == ExitCode.UNREADABLE_INPUT
    assert "no raw OBJECT exposure of 'M 67' at ra 150.0000, dec +20.0000 deg" in said
    assert "the night has M 67 at ra 150.0000, dec -20.0000 deg" in said


def test_a_night_of_another_camera_is_not_reduced(camera: Camera, call: Call, tmp_path: Path) -> None:
    camera.take(camera.shot(0))
    (tmp_path / "cam.yaml").write_text(PROFILE.replace("name: tiny", "name: other"))
    code, said = call("reduce", NIGHT)
    assert code == ExitCode.BAD_REQUEST
    assert (
        f"the raw data of the night {NIGHT} are of the camera tiny, not of other; choose the camera with --instrument"
        in said
    )
