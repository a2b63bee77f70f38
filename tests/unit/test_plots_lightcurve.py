"""Test the content of a light-curve plot by the artists of the figure, and that its bytes are always the same.

Covered: marks for matched and unmatched sources, flags, limits, the injected curve, panels and their largest number,
visits and units of time, suffixes, names of errors. Not covered: how the plot looks.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gozen.catalog.format.schema import Flag, lightcurve_table
from gozen.errors import BadRequest
from gozen.plots.light_curve_plot import Injected, draw_lightcurves
from gozen.plots.light_curve_points import curves
from gozen.plots.style import DARK, LIGHT, form_of, picture, write_picture
from gozen.plots.time_axis import MOST_VISITS, visits

MJD = 61055.5
SECOND = 1 / 86400
PNG, SVG = b"\x89PNG", b"<?xml"


def rows_of(count=6, source=309397108857808256, flags=0, start=MJD, flux=1000.0) -> pa.Table:
    return lightcurve_table(
        {
            "source_id": np.full(count, source),
            "mjd": start + np.arange(count) * 0.5 * SECOND,
            "flux": np.full(count, flux) + np.arange(count),
            "flux_err": np.full(count, 10.0),
            "limit": np.full(count, 17.5),
            "zp": np.full(count, 25.0),
            "colour_term": np.full(count, 0.1),
            "bp_rp": np.full(count, 1.0),
            "phot_g_mean_mag": np.full(count, 14.0),
            "flags": np.broadcast_to(flags, count).astype(np.uint16),
        }
    )


def lines(figure, gid):
    return [line for panel in figure.axes for line in panel.lines if line.get_gid() == gid]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_matched_star_is_circles_with_error_bars():
    figure = draw_lightcurves(rows_of())
    (line,) = lines(figure, "matched")
    assert line.get_marker() == "o"
    np.testing.assert_allclose(line.get_xdata(), np.arange(6) * 0.5, atol=1e-5)
    np.testing.assert_allclose(line.get_ydata(), 1000.0 + np.arange(6))
    assert len(figure.axes[0].collections[0].get_segments()) == 6
    assert legend(figure) == ["matched star"]


def test_a_source_in_no_catalogue_is_crosses():
    figure = draw_lightcurves(rows_of(flags=Flag.UNMATCHED))
    assert lines(figure, "unmatched")[0].get_marker() == "x"
    assert not lines(figure, "matched")
    assert legend(figure) == ["unmatched source"]


def in_filters(*names, diameters=None, zp=25.0):
    """Return a star's rows with a visit of six frames for each filter."""
    visits = [rows_of(start=MJD + number) for number in range(len(names))]
    for number, name in enumerate(names):
        constant = {"filter": name, "aperture_diameter": (diameters or [21] * len(names))[number]}
        if zp is None:
            constant |= {"zp": None, "limit": None}
        for column, value in constant.items():
            at = visits[number].schema.get_field_index(column)
            kind = visits[number].schema.field(at)
            visits[number] = visits[number].set_column(at, kind, pa.repeat(pa.scalar(value, kind.type), 6))
    return pa.concat_tables(visits)


def test_filters_of_a_star_are_panels_of_their_own():
    figure = draw_lightcurves(in_filters("R", "V", "R", None))
    titles = [panel.get_title(loc="left") for panel in figure.axes if panel.get_title(loc="left")]
    assert [title.partition("G =")[0].split()[1:] for title in titles] == [["filter", "R"], ["filter", "V"], []]
    assert [len(curve.mjd) for curve in curves(in_filters("R", "V", "R", None))] == [12, 6, 6]


def test_rows_of_a_table_without_the_column_are_one_curve():
    assert [curve.filter for curve in curves(rows_of().drop_columns(["filter", "aperture_diameter"]))] == [""]


def test_fluxes_in_apertures_of_several_diameters_are_drawn_at_one_zero_point():
    rows = in_filters("R", "R", diameters=[21, 9])
    column = rows.schema.get_field_index("zp")
    zp = pa.array([25.0] * 6 + [25.1] * 6, pa.float32())  # the narrow circle leaves out a tenth of the light
    (curve,) = curves(rows.set_column(column, rows.schema.field(column), zp))
    np.testing.assert_allclose(curve.flux[6:] / curve.flux[:6], 10**-0.04, rtol=1e-4)
    np.testing.assert_allclose(curve.flux_err[6:] / curve.flux_err[:6], 10**-0.04, rtol=1e-4)
    assert "several apertures: fluxes at zero point 25.10" in curve.title


def test_without_a_calibration_each_diameter_is_a_panel_of_its_own():
    assert [len(one.mjd) for one in curves(in_filters("R", "R", "R", diameters=[21, 9, 9], zp=None))] == [12, 6]
    (one,) = curves(in_filters("R", "R", zp=None))
    assert one.zero is None


def test_labels_carry_units_and_the_start_in_utc():
    panel = draw_lightcurves(rows_of()).axes[0]
    assert panel.get_xlabel() == "time since 2026-01-15 12:00:00.000 UTC  [s]"
    assert panel.get_ylabel() == "flux  [ADU]"
    assert "309397108857808256" in panel.get_title(loc="left")
    assert "G = 14.00" in panel.get_title(loc="left")


@pytest.mark.parametrize("flag", [Flag.SATURATED, Flag.DEAD_PIXEL, Flag.EDGE, Flag.REGISTRATION_FAILED])
def test_a_flag_of_a_frame_is_marked_there_and_in_the_legend(flag):
    figure = draw_lightcurves(rows_of(flags=np.array([0, 0, flag, 0, 0, 0])))
    (ring,) = lines(figure, f"flag-{flag.name}")
    np.testing.assert_allclose(ring.get_xdata(), [1.0], atol=1e-5)
    assert len(legend(figure)) == 2


def test_flags_have_marks_of_their_own():
    every = np.array([Flag.SATURATED, Flag.DEAD_PIXEL, Flag.EDGE, Flag.REGISTRATION_FAILED])
    figure = draw_lightcurves(rows_of(4, flags=every))
    assert len({lines(figure, f"flag-{Flag(flag).name}")[0].get_marker() for flag in every}) == 4


def test_what_holds_throughout_is_said_in_the_title():
    title = draw_lightcurves(rows_of(flags=Flag.BLENDED)).axes[0].get_title(loc="left")
    assert "blended" in title


def test_what_was_not_seen_is_an_arrow_at_the_limit():
    figure = draw_lightcurves(rows_of(flags=np.array([0, 0, 0, 0, Flag.NOT_DETECTED, Flag.NOT_DETECTED])))
    (arrows,) = lines(figure, "limit")
    assert "downarrow" in arrows.get_marker()
    np.testing.assert_allclose(arrows.get_ydata(), 10 ** (0.4 * (25.0 + 0.1 - 17.5)), rtol=1e-5)
    assert len(lines(figure, "matched")[0].get_xdata()) == 4
    assert len(lines(figure, "matched-below-limit")[0].get_xdata()) == 2


def test_without_a_calibration_the_limit_is_five_errors():
    rows = rows_of(flags=Flag.NOT_DETECTED)
    rows = rows.set_column(rows.column_names.index("limit"), "limit", pa.nulls(len(rows), pa.float32()))
    (arrows,) = lines(draw_lightcurves(rows), "limit")
    np.testing.assert_allclose(arrows.get_ydata(), 50.0)


def test_the_injected_curve_lies_behind_and_does_not_bridge_a_gap():
    later = MJD + 24 * SECOND
    rows = pa.concat_tables([rows_of(), rows_of(start=later)])
    moments = np.concatenate([MJD + np.arange(6) * 0.5 * SECOND, later + np.arange(6) * 0.5 * SECOND])
    figure = draw_lightcurves(rows, truth={309397108857808256: Injected(moments, np.full(12, 990.0))})
    (line,) = lines(figure, "truth")
    assert np.isnan(line.get_ydata()).sum() == 1
    assert np.isfinite(line.get_ydata()).sum() == 12
    assert "injected" in legend(figure)


def test_each_source_gets_a_panel_up_to_the_cap_and_a_note():
    rows = pa.concat_tables([rows_of(source=source) for source in range(1, 10)])
    assert len(curves(rows)) == 9
    figure = draw_lightcurves(rows, most=4)
    assert [panel.get_title(loc="left").split()[0] for panel in figure.axes] == ["1", "2", "3", "4"]
    assert figure.get_supxlabel() == "5 further light curves not drawn"


def test_points_are_drawn_in_time():
    rows = rows_of()
    (curve,) = curves(rows.take(pa.array([3, 1, 5, 0, 4, 2])))
    assert np.all(np.diff(curve.mjd) > 0)
    np.testing.assert_array_equal(curve.flux, 1000.0 + np.arange(6))


def test_nights_apart_stand_side_by_side():
    rows = pa.concat_tables([rows_of(), rows_of(start=MJD + 3)])
    figure = draw_lightcurves(rows)
    assert len(figure.axes) == 2
    assert "2026-01-18" in figure.axes[1].get_xlabel()


def test_dithers_of_one_field_stay_on_one_axis():
    assert len(visits(np.concatenate([MJD + np.arange(18) * 0.5 * SECOND, MJD + (24 + np.arange(18)) * SECOND]))) == 1


def test_many_nights_are_counted_in_days():
    (visit,) = visits(np.concatenate([MJD + night + np.arange(5) * SECOND for night in range(MOST_VISITS + 1)]))
    assert visit.unit == "d"
    assert visit.elapsed(np.array([MJD + 2.0]))[0] == pytest.approx(2.0)


def test_one_point_is_enough(tmp_path):
    write_picture(draw_lightcurves(rows_of(1)), tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_rows_give_the_same_bytes(theme, form):
    first, second = (picture(draw_lightcurves(rows_of(), theme=theme), form) for _ in range(2))
    assert first == second
    assert first.startswith(PNG if form == "png" else SVG)


def test_a_picture_says_nothing_of_when_and_where_it_was_made():
    svg = picture(draw_lightcurves(rows_of()), "svg").decode()
    assert "<dc:date>" not in svg
    assert "matplotlib.org" not in svg.split("<metadata>")[-1].split("</metadata>")[0]


def test_other_suffixes_are_refused_by_name(tmp_path):
    assert form_of(tmp_path / "a.SVG") == "svg"
    with pytest.raises(BadRequest, match=r"a\.pdf.*\.png or \.svg"):
        form_of(tmp_path / "a.pdf")


def test_nothing_to_plot_is_said():
    with pytest.raises(BadRequest, match="nothing to plot"):
        draw_lightcurves(rows_of(0))
    with pytest.raises(BadRequest, match="flux_err"):
        draw_lightcurves(rows_of().drop_columns(["flux_err"]))
