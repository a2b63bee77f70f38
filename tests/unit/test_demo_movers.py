"""Test the comparison of tracklets with injected movers: correct ones pass, and each kind of error fails a check.

Covered: pairing, false and duplicate tracklets, movers that cannot be found, the seven numbers and their texts. The
camera is made up here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest

from gozen.archive.commit import SensorCommit, Summary
from gozen.archive.provenance import Provenance
from gozen.archive.tracklet_record import TrackletPoint, TrackletRecord
from gozen.demo.compare_movers import compare_movers, pair_movers
from gozen.demo.mover_pictures import corners, in_words, mover_rows
from gozen.demo.pair_with_truth import SensorTruth
from gozen.simulator.sky.events import Mover

MJD, FRAME_S, NFRAME, DAY_S = 61055.5, 0.5, 18, 86400.0
FAST = Mover("fast", 359.9999, 30.0, MJD, -9.0, 4.0, 14.0)
SLOW = Mover("slow", 0.05, 30.1, MJD, 0.9, 0.5, 15.5)
STREAK = Mover("streak", 0.1, 29.9, MJD, 160.0, 45.0, 10.8)
MOVERS = (FAST, SLOW, STREAK)

FOUND, FALSE = "movers, found of the findable ones", "movers, false tracklets"
PLACE, TIME = "movers, rms of a tracklet's positions", "movers, largest error of the times"
RATE, DIRECTION = "movers, error of the rate", "movers, error of the direction"
MAGNITUDE = "movers, error of the magnitude"


def moments():
    return MJD + (np.arange(NFRAME) - NFRAME / 2 + 0.5) * FRAME_S / DAY_S


def injected(movers=MOVERS, frames=NFRAME) -> SensorTruth:
    mjd = moments()
    rows = [{"event": m.name, "frame": n, "mjd": mjd[n]} for m in movers for n in range(frames)]
    schema = pa.schema([("event", pa.string()), ("frame", pa.int16()), ("mjd", pa.float64())])
    constants = pa.Table.from_pylist([{"frame_s": FRAME_S, "scale_arcsec": 1.2}])
    seeing = pa.table({"frame": range(frames), "fwhm_px": np.full(frames, 3.0)})
    nothing = pa.table({})
    return SensorTruth(
        "3", "111", 0.23, 2.0, constants, seeing, nothing, nothing, pa.Table.from_pylist(rows, schema=schema)
    )


def points(mover, *, ends=False):
    half = FRAME_S / 2 / DAY_S
    for frame, mjd in enumerate(moments()):
        for end, moment in (("start", mjd - half), ("end", mjd + half)) if ends else ((None, mjd),):
            ra, dec = (float(value) for value in mover.position(moment))
            yield TrackletPoint(
                frame=frame, end=end, mjd=moment, ra=ra, dec=dec, position_err_arcsec=0.1, x=1.0, y=1.0, flux=1.0
            )


def record(mover, name="g1", **changes) -> TrackletRecord:
    streak = mover is STREAK
    facts = {
        "tracklet": name,
        "kind": "streak" if streak else "mover",
        "n_frames": NFRAME,
        "ra_mid": mover.ra,
        "dec_mid": mover.dec,
        "mjd_mid": MJD,
        "rate_arcsec_min": 60 * np.hypot(mover.rate_ra, mover.rate_dec),
        "position_angle_deg": np.degrees(np.arctan2(mover.rate_ra, mover.rate_dec)) % 360,
        "mag_mean": mover.g,
        "points": tuple(points(mover, ends=streak)),
    }
    return TrackletRecord(**(facts | changes))


def perfect():
    return [record(mover, f"g{n}") for n, mover in enumerate(MOVERS)]


def commit(tracklets) -> SensorCommit:
    return SensorCommit(
        night="20260115",
        exposure="3",
        run="r1",
        sensor="111",
        frame_id="f",
        object="o",
        data_type="OBJECT",
        nframe=NFRAME,
        status="reduced",
        tracklets=tuple(tracklets),
        provenance=Provenance(code_version="1"),
    )


def paired(tracklets, truth=None):
    parameters = [json.dumps(asdict(one)) for one in MOVERS]
    kinds, names = ["mover"] * len(MOVERS), [one.name for one in MOVERS]
    events = pa.table({"name": [*names, "c"], "kind": [*kinds, "cloud"], "parameters": [*parameters, "{}"]})
    return pair_movers([truth or injected()], events, [commit(tracklets)])


def checks(tracklets, truth=None):
    return {check.name: check for check in compare_movers(paired(tracklets, truth))}


def failed(found):
    return {name for name, check in found.items() if not check.passed}


def test_what_was_injected_passes_whatever_the_order():
    for tracklets in (perfect(), perfect()[::-1]):
        found = checks(tracklets)
        assert list(found) == [FOUND, FALSE, PLACE, TIME, RATE, DIRECTION, MAGNITUDE]
        assert failed(found) == set()
        assert found[PLACE].measured < 1e-3
        assert all(check.basis for check in found.values())
        pairs = paired(tracklets).pairs
        assert [one.mover.name for one in pairs] == ["fast", "slow", "streak"]
        assert [one.found.tracklet for one in pairs] == ["g0", "g1", "g2"]
        assert [len(one.d_ra) for one in pairs] == [18, 18, 36]


def spoiled(number, **changes):
    tracklets = perfect()
    tracklets[number] = tracklets[number].model_copy(update=changes)
    return tracklets


def displaced(arcsec, seconds=0.0, number=1):
    moved = tuple(
        point.model_copy(update={"dec": point.dec + arcsec / 3600, "mjd": point.mjd + seconds / DAY_S})
        for point in perfect()[number].points
    )
    return spoiled(number, points=moved)


@pytest.mark.parametrize(
    ("tracklets", "red"),
    [
        (perfect()[:2], {FOUND}),
        (displaced(0.4), {PLACE}),
        (displaced(0.4, number=2), {PLACE}),
        (displaced(0.0, seconds=0.002), {TIME}),
        (spoiled(0, rate_arcsec_min=600.0), {RATE}),
        (spoiled(0, rate_arcsec_min=580.0), {RATE}),
        (spoiled(1, position_angle_deg=65.0), {DIRECTION}),
        (spoiled(2, mag_mean=10.6), {MAGNITUDE}),
        (spoiled(1, dec_mid=SLOW.dec + 10 / 3600), {FOUND}),
        ([*perfect(), record(SLOW, "g8", ra_mid=0.2), record(SLOW, "g9", ra_mid=0.3)], {FALSE}),
        ([*perfect(), record(FAST, "g8"), record(FAST, "g9")], {FALSE}),
    ],
)
def test_what_is_wrong_goes_red(tracklets, red):
    assert failed(checks(tracklets)) == red


def test_nothing_found_fails_every_number_but_that_of_false_ones():
    found = checks([])
    assert failed(found) == set(found) - {FALSE}
    assert found[RATE].recovered == "nothing measured"


def test_cosmic_hits_are_no_tracklets():
    hits = [record(SLOW, f"h{n}", kind="cosmic", ra_mid=0.2 + n / 10) for n in range(3)]
    assert paired([*perfect(), *hits]).spurious == ()


def test_a_direction_across_north_is_a_small_turn():
    north = replace(SLOW, rate_ra=0.0, rate_dec=1.0)
    pair = paired([record(SLOW, position_angle_deg=359.5)]).pairs[1]
    found = compare_movers(replace(paired([]), pairs=(replace(pair, mover=north),)))
    assert {check.name: check.measured for check in found}[DIRECTION] == pytest.approx(0.5, abs=1e-6)


def test_what_barely_moves_or_is_hardly_there_need_not_be_found():
    short = paired(perfect()[::2], injected(frames=12))
    assert [one.findable for one in short.pairs] == [True, False, True]
    assert [one.findable for one in paired([], injected(frames=5)).pairs] == [False, False, False]
    assert failed(checks(perfect()[::2], injected(frames=12))) == set()


def test_without_anything_to_find_only_false_tracklets_count():
    assert list(checks([], injected(()))) == [FALSE]


def test_a_lone_streak_is_found_but_its_ends_have_no_time():
    ends = tuple(point.model_copy(update={"end": "either"}) for point in perfect()[2].points[:2])
    pair = paired(spoiled(2, points=ends)).pairs[2]
    assert pair.found is not None
    assert len(pair.d_ra) == 0
    assert np.isnan(pair.rms)


def test_a_refused_sensor_has_found_nothing():
    nowhere = pair_movers(
        [injected()],
        pa.table(
            {
                "name": [m.name for m in MOVERS],
                "kind": ["mover"] * 3,
                "parameters": [json.dumps(asdict(m)) for m in MOVERS],
            }
        ),
        [],
    )
    assert [one.found for one in nowhere.pairs] == [None] * 3


def test_differences_in_right_ascension_are_measured_on_the_sky():
    east = tuple(point.model_copy(update={"ra": point.ra + 0.32 / 3600}) for point in perfect()[1].points)
    assert checks(spoiled(1, points=east))[PLACE].measured == pytest.approx(0.32 * np.cos(np.radians(30.1)), abs=1e-3)


def test_rows_say_what_became_of_each():
    twice = record(FAST, "g9")
    found = mover_rows(paired([*perfect()[:2], twice]))
    assert [(row.name, row.state, row.tracklet) for row in found] == [
        ("fast", "found", "g0"),
        ("slow", "found", "g1"),
        ("streak", "missed", None),
        ("false tracklet", "false", "g9"),
    ]
    assert (found[0].frames, found[0].true_frames, found[0].mag, found[0].true_mag) == (18, 18, 14.0, 14.0)
    (slow,) = [row for row in mover_rows(paired([], injected(frames=12))) if row.name == "slow"]
    assert slow.state == "too slow"


def test_the_terminal_says_it_in_a_line():
    fast, _, streak, false = mover_rows(paired([record(FAST, "g0"), record(SLOW, "g9", ra_mid=1.0)]))
    assert in_words(fast) == (
        "found    fast, exposure 3, sensor 111: tracklet g0, 18 frames, 590.9 arcsec/min (injected: 18 frames, 590.9)"
    )
    assert in_words(streak) == "missed   streak, exposure 3, sensor 111"
    assert in_words(false).startswith("false    false tracklet, exposure 3, sensor 111: tracklet g9, 18 frames, 61.8")


@pytest.mark.parametrize("angle", [0.0, 30.0, 180.0])
def test_the_corners_of_a_sensor_are_turned_with_it(angle):
    summary = Summary(ra=0.0, dec=0.0, pixel_scale_arcsec=3.6, orientation_deg=angle)
    ra, dec = corners(summary, (100, 200))
    east, north = (ra + 180) % 360 - 180, dec
    assert np.hypot(east, north) == pytest.approx(np.hypot(0.05, 0.1), rel=1e-4)
    turn = np.radians(angle)
    up = east[2:].mean() * np.sin(turn) + north[2:].mean() * np.cos(turn)
    assert up == pytest.approx(0.05, rel=1e-4)
    assert np.hypot(np.diff(east), np.diff(north)) == pytest.approx([0.2, 0.1, 0.2], rel=1e-4)


def test_an_unsolved_sensor_has_no_corners():
    assert len(corners(Summary(ra=1.0), (100, 200))[0]) == 0
