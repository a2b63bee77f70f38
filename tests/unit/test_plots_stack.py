"""Test the content of plots of stacks, frames and comparisons, by the artists of the figure."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from gozen.archive.commit import FrameRecord, Rejection, SensorCommit
from gozen.archive.provenance import Provenance
from gozen.plots.exposure_plot import draw_quality
from gozen.plots.stack_image import Marks, bar_length, directions, draw_stack, source_marks
from gozen.plots.style import picture
from gozen.plots.truth_plot import draw_fluxes, draw_magnitudes, draw_positions


def field(angle_deg=0.0, flipped=False) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [20.0, 30.0], [50.5, 40.5]
    turn = np.radians(angle_deg)
    scale = 1.189 / 3600
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = scale * matrix @ np.diag([1.0 if flipped else -1.0, 1.0])
    return wcs


def image() -> np.ndarray:
    sky = np.random.default_rng(1).normal(100.0, 5.0, (80, 100)).astype(np.float32)
    sky[20, 30] = 5000.0
    sky[:, 7] = np.nan
    return sky


def lines(figure, gid):
    return [line for panel in figure.axes for line in panel.lines if line.get_gid() == gid]


def test_circles_for_stars_and_crosses_for_the_rest():
    x, y = np.array([10.0, 20.0, 30.0]), np.array([5.0, 6.0, 7.0])
    figure = draw_stack(image(), field(), source_marks(x, y, np.array([True, False, True])))
    (stars,), (others,) = lines(figure, "matched star"), lines(figure, "unmatched source")
    assert (stars.get_marker(), others.get_marker()) == ("o", "x")
    np.testing.assert_array_equal(stars.get_xdata(), [10.0, 30.0])
    np.testing.assert_array_equal(others.get_ydata(), [6.0])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["matched star (2)", "unmatched source (1)"]


def test_further_groups_are_marked_and_named():
    mover = Marks("mover", np.array([40.0]), np.array([50.0]), marker="D", colour="truth", size=12, names=("slow",))
    figure = draw_stack(image(), field(), [mover])
    assert lines(figure, "mover")[0].get_marker() == "D"
    assert "slow" in [text.get_text() for text in figure.axes[0].texts]


def test_the_sky_is_labelled_with_a_bar_and_arrows():
    figure = draw_stack(image(), field(), title="Exposure 3")
    panel = figure.axes[0]
    assert [coordinate.get_axislabel() for coordinate in panel.coords] == ["RA (ICRS)", "Dec (ICRS)"]
    (bar,) = lines(figure, "scale bar")
    assert np.ptp(bar.get_xdata()) * 1.189 == pytest.approx(20.0, rel=1e-3)
    assert {"N", "E", "20″"} <= {text.get_text() for text in panel.texts}
    assert figure.get_suptitle() == "Exposure 3"


def test_without_a_solution_there_are_pixels():
    figure = draw_stack(image(), None)
    assert figure.axes[0].get_xlabel() == "x  [pixel]"
    assert not lines(figure, "scale bar")


@pytest.mark.parametrize(("angle", "flipped"), [(0, False), (0, True), (37, False), (180, False)])
def test_north_and_east_follow_the_solution(angle, flipped):
    wcs = field(angle, flipped)
    north, east = directions(wcs, 30.0, 20.0)
    ra, dec = wcs.wcs_pix2world(
        [[30.0, 20.0], [30.0 + north[0], 20.0 + north[1]], [30.0 + east[0], 20.0 + east[1]]], 0
    ).T
    assert dec[1] > dec[0]
    assert ra[1] == pytest.approx(ra[0], abs=1e-8)
    assert ra[2] > ra[0]


def test_a_bar_is_round_and_no_longer_than_a_fifth():
    assert [bar_length(width) for width in (2378.0, 400.0, 60.0, 3.0)] == [300, 60, 10, 1]


def test_nan_and_flat_images_are_drawn():
    for one in (np.full((20, 30), np.nan, np.float32), np.zeros((20, 30), np.float32)):
        assert picture(draw_stack(one, None), "webp")[:4] == b"RIFF"


def commit(sensor: str) -> SensorCommit:
    frames = [
        FrameRecord(frame=n, seeing_px=3.9, shift_x_px=0.1 * n, shift_y_px=0.0, background_adu=70.0, zero_point=24.7)
        for n in range(4)
    ]
    refused = Rejection(name="NoisyFrame", message="noise 9")
    frames.append(FrameRecord(frame=4, rejected=refused))
    return SensorCommit(
        night="20260115",
        exposure="00000003",
        run="r1",
        sensor=sensor,
        frame_id="f",
        object="o",
        data_type="OBJECT",
        nframe=5,
        status="reduced",
        frames=tuple(frames),
        provenance=Provenance(code_version="1"),
    )


def test_frames_are_lines_and_refused_ones_crosses():
    figure = draw_quality([commit("111"), commit("112")])
    assert len(figure.axes) == 6
    first = figure.axes[0]
    named = [line.get_gid() for line in first.lines]
    assert named == ["00000003, sensor 111", "rejected", "00000003, sensor 112", "rejected"]
    np.testing.assert_array_equal(first.lines[1].get_xdata(), [4])
    assert all("[" in panel.get_title(loc="left") for panel in figure.axes)


def test_the_stars_that_count_are_told_from_the_others():
    g = np.linspace(11, 18, 40)
    figure = draw_magnitudes(g, 0 * g, 0.01 + 0 * g, 0.01 + 0 * g, used=g < 15)
    used, others = (lines(figure, f"residual {name}")[0] for name in ("stars that are compared", "other stars"))
    assert len(used.get_xdata()) == (g < 15).sum()
    assert len(others.get_xdata()) == (g >= 15).sum()
    assert used.get_alpha() > others.get_alpha()


def test_east_is_to_the_left_and_the_tolerance_a_circle():
    panel = draw_positions(np.array([0.01]), np.array([0.02]), tolerance=0.05).axes[0]
    low, high = panel.get_xlim()
    assert low > high
    circle = panel.lines[1]
    np.testing.assert_allclose(np.hypot(circle.get_xdata(), circle.get_ydata()), 0.05)


def test_each_of_many_events_is_drawn():
    point = np.array([1.0])
    figure = draw_fluxes([(f"event {number}", point, point, point) for number in range(9)])
    assert all(lines(figure, f"event {number}") for number in range(9))


def test_events_stand_on_the_line_of_equality():
    figure = draw_fluxes([("flare", np.array([1.0, 2.0]), np.array([1.01, 1.98]), np.array([0.01, 0.02]))])
    assert lines(figure, "flare")
    (line,) = lines(figure, "equal")
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
