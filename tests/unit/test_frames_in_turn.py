"""Test a watch while a camera takes long frames of several targets in turn, with the default settings.

Files are real, the time is simulated. Not covered: the order in which files arrive
(property/test_arrivals_in_portions).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from tests.unit.test_exposure_grouping import PROFILE

from gozen.archive.raw.exposure_record import record_exposure
from gozen.archive.stores.open_store import open_store
from gozen.frames.take_in import record_of
from gozen.instrument.profile import parse_profile
from gozen.settings import WatchSettings
from gozen.watch.completeness import Arriving

CAMERA = parse_profile(PROFILE, "tiny")
BEGIN_MJD = 60370.75
EXPOSURE_S, READOUT_S = 300.0, 10.0


def night(folder: Path, targets: list[str], exposure_s: float = EXPOSURE_S) -> list[tuple[str, int, float]]:
    """Let a camera take a frame of each target in order.

    Returns
    -------
    Exposures, the number of their frames, and when they are given out, s.
    """
    (folder / "in").mkdir()
    now = {"s": 0.0}
    store = open_store(folder / "archive")
    arriving = Arriving(
        folder / "in", store, CAMERA, 60, WatchSettings().settle_s, closed=lambda *_: True,
        utc_s=lambda: (BEGIN_MJD - 40587) * 86400 + now["s"],
    )  # fmt: skip
    given, number, step_s = [], 0, exposure_s + READOUT_S
    while number < len(targets) or arriving.unread:
        now["s"] += 10.0
        if number < len(targets) and now["s"] >= (number + 1) * step_s:
            start = Time(BEGIN_MJD + number * step_s / 86400, format="mjd").isot
            words = {"OBJECT": targets[number], "IMAGETYP": "OBJECT", "EXPTIME": exposure_s, "DATE-OBS": start}
            image = fits.PrimaryHDU(np.zeros((4, 6), np.int16))
            image.header.update(words)
            image.writeto(folder / "in" / f"{number:03d}.fits")
            number += 1
        for group in arriving.look(now["s"])[0]:
            record_exposure(store, record_of(group.night, group.exposure, group.files))
            given.append((group.exposure, len(group.files), now["s"]))
    return given


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_targets_in_turn_are_one_exposure_each(tmp_path: Path, count: int, caplog: pytest.LogCaptureFixture) -> None:
    given = night(tmp_path, [f"T{number}" for number in range(count)] * 3)
    assert sorted((name, frames) for name, frames, _ in given) == [(f"t{number}", 3) for number in range(count)]
    assert caplog.messages == []


def test_a_target_that_is_left_for_another_one_is_not_waited_for(tmp_path: Path) -> None:
    given = night(tmp_path, ["A"] * 3 + ["B"] * 6)
    assert [one[:2] for one in given] == [("a", 3), ("b", 6)]
    assert given[0][2] < (3 + 3) * (EXPOSURE_S + READOUT_S) + 60


def test_fields_that_are_taken_once_are_given_out_after_eight_others(tmp_path: Path) -> None:
    given = night(tmp_path, [f"T{number:02d}" for number in range(20)])
    assert [one[:2] for one in given] == [(f"t{number:02d}", 1) for number in range(20)]
    assert given[0][2] <= 10 * (EXPOSURE_S + READOUT_S) + 60


def test_more_in_turn_than_that_are_split_and_the_setting_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = night(tmp_path, [f"T{number:02d}" for number in range(12)] * 2, exposure_s=60.0)
    assert [one[:2] for one in given if one[0].startswith("t00")] == [("t00", 1), ("t00-2", 1)]
    assert (
        "t00-2 continues t00, which was regarded as complete; the last frame of t00 was taken 840 s earlier"
        in caplog.text
    )
    assert "set `watch.settle_s` to a longer time" in caplog.text
