"""What one look at a folder of raw files costs, whose headers give no exposure numbers: headers and sorting.

Goals: 5,000 files in 2 s of processor time, and 10,000 in at most 2.2 times that. The floor is astropy's own reading of
the same headers; nothing is copied into an archive.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits

from goals import Goal, conclude
from gozen.archive.stores.open_store import open_store
from gozen.frames.archived_files import ArchivedExposures
from gozen.frames.assign_exposures import sort_arrivals
from gozen.frames.incoming_files import read_arrivals
from gozen.instrument.profile import Profile, parse_profile

FILES = 5000
FURTHER_CARDS = 40
PROFILE = """
name: bench
site: { name: Bench, longitude_deg: 137.6, latitude_deg: 35.8, height_m: 1132, time_zone: Asia/Tokyo }
raw: frames
shape: [4, 6]
active: "[1:6,1:4]"
pixel_scale_arcsec: 1.0
gains: { one: { e_per_adu: 1, read_noise_e: 5, saturation_adu: 60000 } }
default_gain: one
masters: [bias]
sensors: [{ id: "1" }]
header:
  object: { word: OBJECT }
  data_type: { word: IMAGETYP }
  utc_start: { word: DATE-OBS, kind: utc }
  exposure_s: { word: EXPTIME, kind: number }
  filter: { word: FILTER }
  sensor: { word: CHIP }
"""


def write_frames(folder: Path, count: int) -> list[Path]:
    """Write frames of two targets and two filters in turn, with as many header cards as cameras write."""
    header = fits.Header({"IMAGETYP": "OBJECT", "EXPTIME": 5.0, "CHIP": "1"})
    for number in range(FURTHER_CARDS):
        header[f"SENSE{number}"] = (number * 1.25, "a figure of the camera")
    begin, paths = datetime(2026, 1, 15, 11, tzinfo=UTC), []
    for number in range(count):
        header["DATE-OBS"] = (begin + timedelta(seconds=6 * number)).strftime("%Y-%m-%dT%H:%M:%S")
        header["OBJECT"], header["FILTER"] = f"M {31 + number // 50 % 2}", "RV"[number % 2]
        paths.append(folder / f"{number:05d}.fits")
        fits.PrimaryHDU(np.zeros((4, 6), np.int16), header).writeto(paths[-1])
    return paths


def look(paths: list[Path], profile: Profile, archive: Path) -> None:
    """Read the headers of the files, and put the files to exposures."""
    arrivals, refused = read_arrivals(paths, profile)
    found = sort_arrivals(ArchivedExposures(open_store(archive), profile), arrivals)
    assert not refused
    assert not found.refused
    assert sum(map(len, found.groups.values())) == len(paths)


def processor_s(work: Callable[[], object], repeats: int) -> float:
    """Return the least processor time of several calls, seconds."""
    spent = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def main() -> int:
    """Measure, print, conclude."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    profile = parse_profile(PROFILE, "bench")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        paths = write_frames(folder, 2 * FILES)
        look(paths[:100], profile, folder / "archive")
        once = processor_s(lambda: look(paths[:FILES], profile, folder / "archive"), options.repeats)
        twice = processor_s(lambda: look(paths, profile, folder / "archive"), options.repeats)
        floor = processor_s(lambda: [dict(fits.getheader(path)) for path in paths[:FILES]], 1)
    figures = {"files": FILES, "once_s": once, "twice_s": twice, "astropy_s": floor}
    print(f"{FILES} files {once:.2f} s, {2 * FILES} files {twice:.2f} s; astropy's headers alone {floor:.2f} s")
    goals = [
        Goal("look_at_5000_files_s", once, 2.0),
        Goal("look_at_10000_files_over_5000", twice / once, 2.2),
        Goal("look_over_astropy_headers", once / floor, 1.0),
    ]
    return conclude(goals, figures, options.json)


if __name__ == "__main__":
    sys.exit(main())
