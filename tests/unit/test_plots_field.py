"""Test the content of field maps and of film strips, by the artists of the figure and the pixels of the image.

How they look on a page is tested in a browser, in tests/services.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread

from gozen.plots.field_map import MOST_CLOSE_UPS, TrackPath, draw_field, from_middle, star_sizes
from gozen.plots.mover_film import film_strip
from gozen.plots.style import DARK, LIGHT, picture

MJD = 61055.5
RA, DEC = np.array([20.0, 20.4, 20.8, 20.4]), np.array([30.0, 30.3, 30.0, 30.1])
MAG = np.array([9.0, 12.0, 16.9, 18.0])


def path(name="fast mover", east=-60.0, north=30.0, start=0.0, **parts) -> TrackPath:
    """Return a track through the middle of the map; arcsec moved in ten seconds."""
    elapsed = np.linspace(0, 10, 11)
    ra = 20.4 + east * elapsed / 10 / 3600 / np.cos(np.radians(30.15))
    dec = 30.15 + north * elapsed / 10 / 3600
    order = np.argsort(np.cos(elapsed * 7))  # what is found comes in any order
    facts = {"rate": 402.0, "true_ra": ra, "true_dec": dec} | parts
    mjd = MJD + (start + elapsed) / 86400
    return TrackPath(name, f"{name}: g1", ra[order], dec[order], mjd[order], np.full(11, 0.1), **facts)


def drawn(*paths: TrackPath, **options):
    return draw_field(RA, DEC, MAG, paths, **options)


def arrows(panel):
    return [text for text in panel.texts if getattr(text, "arrow_patch", None) is not None]


def named(figure, gid):
    return [line for panel in figure.axes for line in panel.lines if line.get_gid() == gid]


def test_east_is_left_and_a_degree_is_as_long_in_both_directions():
    panel = drawn(path()).axes[0]
    left, right = panel.get_xlim()
    assert left > right
    assert panel.get_ylim()[0] < panel.get_ylim()[1]
    assert panel.get_aspect() == pytest.approx(1 / np.cos(np.radians(30.15)), rel=1e-3)
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("RA (ICRS)  [deg]", "Dec (ICRS)  [deg]")


def test_stars_are_larger_the_brighter_and_the_faintest_are_left_out():
    (stars,) = drawn(path()).axes[0].collections
    assert len(stars.get_offsets()) == 3
    assert list(stars.get_sizes()) == sorted(stars.get_sizes(), reverse=True)
    assert star_sizes(np.array([10.0]))[0] == pytest.approx(1.5 * star_sizes(np.array([11.0]))[0])


def test_an_arrow_goes_from_the_first_place_to_the_last_whatever_their_order():
    track = path(east=-900.0)
    (arrow, label) = drawn(track).axes[0].texts[:2]
    first, last = np.argmin(track.mjd), np.argmax(track.mjd)
    assert arrow.xyann == pytest.approx((track.ra[first], track.dec[first]))
    assert arrow.xy == pytest.approx((track.ra[last], track.dec[last]))
    assert label.get_text() == "fast mover\n402″/min\n12:00:00 UTC"


def test_the_arrow_of_a_slow_object_is_long_enough_to_be_seen_and_points_the_same_way():
    track = path(east=-4.0, north=2.0)
    panel = drawn(track).axes[0]
    (arrow,) = arrows(panel)
    east, north = np.subtract(arrow.xy, arrow.xyann) * (np.cos(np.radians(30.15)), 1)
    assert east / north == pytest.approx(-2, rel=1e-3)
    assert np.hypot(east, north) > 0.04 * abs(np.subtract(*panel.get_xlim())) * np.cos(np.radians(30.15))


def test_an_object_seen_twice_has_one_colour_and_one_label_with_both_times():
    figure = drawn(path(), path(start=24.0), path("slow mover", rate=None))
    labels = [text.get_text() for text in figure.axes[0].texts if "mover" in text.get_text()]
    assert labels == ["fast mover\n402″/min\n12:00:00, 12:00:24 UTC", "slow mover\nrate unknown\n12:00:00 UTC"]
    colours = {line.get_gid(): to_hex(line.get_color()) for line in figure.axes[0].lines if "track" in line.get_gid()}
    assert colours == {"track fast mover": LIGHT.series[0], "track slow mover": LIGHT.series[1]}


def test_the_map_has_a_scale_and_the_sensors_outlines():
    corners = np.array([20.0, 20.8, 20.8, 20.0]), np.array([30.0, 30.0, 30.3, 30.3])
    figure = drawn(path(), outlines=[corners])
    (bar,) = named(figure, "scale bar")
    length = abs(np.subtract(*bar.get_xdata())) * np.cos(np.radians(30.15)) * 60
    assert length == pytest.approx(5, rel=1e-3)
    assert "5′" in [text.get_text() for text in figure.axes[0].texts]
    (outline,) = named(figure, "sensor")
    assert outline.get_xydata()[0].tolist() == outline.get_xydata()[-1].tolist()


def test_each_track_has_a_close_up_in_arcsec_with_what_was_injected():
    figure = drawn(path(), path("g2", true_ra=None, true_dec=None))
    first, second = figure.axes[1:]
    assert first.get_title(loc="left") == "fast mover: g1"
    points = first.containers[0].lines[0].get_xydata()
    assert np.ptp(points, axis=0) == pytest.approx((60, 30), rel=1e-3)
    assert first.get_xlim()[0] > first.get_xlim()[1]
    assert len(named(figure, "injected")) == 1
    (arrow,) = arrows(first)
    assert np.subtract(arrow.xy, arrow.xyann) == pytest.approx((-30, 15), rel=1e-3)
    assert len(second.lines) == 1


def test_close_ups_are_few():
    figure = drawn(*[path(f"m{number}") for number in range(9)])
    assert len(figure.axes) == 1 + MOST_CLOSE_UPS
    assert len(arrows(figure.axes[0])) == 9


def test_places_across_the_origin_of_right_ascension_are_near():
    east, north = from_middle(np.array([359.999, 0.001]), np.array([60.0, 60.0]), (0.0, 60.0))
    assert east == pytest.approx([-1.8, 1.8])
    assert north == pytest.approx([0, 0])


def test_the_same_map_is_the_same_picture_and_dark_is_another():
    assert picture(drawn(path()), "svg") == picture(drawn(path()), "svg") != picture(drawn(path(), theme=DARK), "svg")


def test_a_map_without_stars_or_motion_is_drawn():
    still = path(east=0.0, north=0.0)
    assert picture(draw_field(np.empty(0), np.empty(0), np.empty(0), [still]), "png")


def test_a_strip_has_the_frames_side_by_side_upright_and_in_order():
    film = np.random.default_rng(2).normal(0, 1, (3, 21, 21))
    film[1] = np.nan
    film[2, 20, 0] = film[0, 0, 20] = 50.0  # upper left on the last frame, lower right on the first
    image = imread(io.BytesIO(film_strip(film)))[..., 0]
    assert image.shape == (21, 63)
    assert image[20, 20] == image[0, 42] == image.max() > 0.9
    assert (image[:, 21:42] == 0).all()
    assert film_strip(film) == film_strip(film)
    assert imread(io.BytesIO(film_strip(np.full((2, 5, 5), np.nan)))).shape[:2] == (5, 10)
