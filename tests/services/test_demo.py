"""The demo as a new user runs it, at its smallest: one sensor, one exposure.

Covered: exit codes, the report, the commands that it names, its text on movers, and its failure if recovered values
differ from injected ones. The numbers of the comparison are tested in tests/unit, the page in test_report_in_a_browser.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

pytestmark = pytest.mark.xdist_group("demo")  # the demo is made once for all tests that look at it


@pytest.fixture
def copied(demo: Path, tmp_path: Path) -> Path:
    """Return a copy of the demo's folder that a test may change."""
    return Path(shutil.copytree(demo, tmp_path / "copy"))


def stars_of(folder: Path) -> Path:
    (path,) = folder.glob("archive/truth/*/*/*/stars.parquet")
    return path


def test_it_leaves_a_report_and_an_archive(demo: Path) -> None:
    page = (demo / "report.html").read_text(encoding="utf-8")
    assert "What was injected was recovered" in page
    assert len(page) < 8_000_000
    assert list((demo / "archive" / "catalogs").iterdir())


def test_a_second_look_gives_the_same_report(copied: Path, command) -> None:
    before = (copied / "report.html").read_text(encoding="utf-8").split("How it was made")[0]
    said = command("demo", "--folder", copied, "--report-only", cwd=copied).stdout
    assert "OUTSIDE" not in said
    assert str(copied / "report.html") in said
    assert (copied / "report.html").read_text(encoding="utf-8").split("How it was made")[0] == before


def test_what_the_report_says_to_type_next_works(demo: Path, command, tmp_path: Path) -> None:
    page = (demo / "report.html").read_text(encoding="utf-8")
    lines = re.findall(r"<li><code>gozen (.*?)</code>", page)
    assert [line.split()[0] for line in lines] == [
        *("lightcurve", "lightcurve", "tracklets", "tracklets", "quality", "exposures")
    ]
    for line in lines:
        command(*line.split(), cwd=tmp_path)
    assert (tmp_path / "flare.svg").exists()


def test_it_says_what_moves_and_shows_a_film_of_each(copied: Path, command) -> None:
    said = command("demo", "--folder", copied, "--report-only", cwd=copied).stdout
    fast = re.search(r"found +fast mover, .*: tracklet (\w+), 12 frames, 59\d\.\d arcsec/min \(injected: 12 ", said)
    streak = re.search(r"found +streak mover, .*: tracklet (\w+), 12 frames", said)
    assert fast is not None
    assert streak is not None
    slow = re.search(r"found +slow mover, .*: tracklet (\w+), 12 frames, (\d\d\.\d) arcsec/min \(injected: 12 ", said)
    assert slow is not None
    assert float(slow[2]) == pytest.approx(61.8, abs=6)
    page = (copied / "report.html").read_text(encoding="utf-8")
    assert page.count('class="film"') == 3
    (path,) = (copied / "archive" / "neo").rglob("*.fits")
    with fits.open(path) as hdus:
        assert {slow[1].upper(), fast[1].upper(), streak[1].upper()} == {hdu.name for hdu in hdus[1:-1]}
    listed = command("tracklets", "--archive", copied / "archive", "--csv", cwd=copied).stdout
    assert listed.count("\n") == 4


def test_it_fails_when_something_else_was_injected(copied: Path, command) -> None:
    path = copied / "archive" / "truth" / "20260115" / "events.parquet"
    events = pq.read_table(path)
    faster = [text.replace('"rate_ra": -9.0', '"rate_ra": -9.2') for text in events["parameters"].to_pylist()]
    pq.write_table(events.set_column(2, "parameters", pa.array(faster)), path)
    done = command("demo", "--folder", copied, "--report-only", cwd=copied, check=False)
    assert done.returncode == 70
    assert re.search(r"OUTSIDE +movers, error of the rate: 1\d\.\d+ arcsec/min", done.stdout)
    assert re.search(r"OUTSIDE +movers, rms of a tracklet's positions", done.stdout)


def test_it_fails_when_the_truth_is_another(copied: Path, command) -> None:
    path = stars_of(copied)
    stars = pq.read_table(path)
    brighter = pa.array(stars["g"].to_numpy() - 0.05)
    pq.write_table(stars.set_column(stars.column_names.index("g"), "g", brighter), path)
    done = command("demo", "--folder", copied, "--report-only", cwd=copied, check=False)
    assert done.returncode == 70
    assert re.search(r"OUTSIDE +magnitudes, bias: 0\.0(4[5-9]|5)", done.stdout)
    assert "Not all that was injected was recovered" in (copied / "report.html").read_text(encoding="utf-8")


def test_it_fails_when_times_are_half_a_second_off(copied: Path, command) -> None:
    path = stars_of(copied)
    stars = pq.read_table(path)
    late = pa.array(stars["mjd_first"].to_numpy() + 0.5 / 86400)
    pq.write_table(stars.set_column(stars.column_names.index("mjd_first"), "mjd_first", late), path)
    done = command("demo", "--folder", copied, "--report-only", cwd=copied, check=False)
    assert done.returncode == 70
    assert re.search(r"OUTSIDE +times, largest error: 50", done.stdout)


def test_a_folder_with_something_else_is_not_touched(tmp_path: Path, command) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = command("demo", "--folder", tmp_path, cwd=tmp_path, check=False)
    assert done.returncode == 64
    assert "not empty and is not the folder of an earlier demo" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_report_of_nothing_is_refused(tmp_path: Path, command) -> None:
    done = command("demo", "--folder", tmp_path / "none", "--report-only", cwd=tmp_path, check=False)
    assert done.returncode == 64
    assert "is not the folder of an earlier demo" in done.stderr
