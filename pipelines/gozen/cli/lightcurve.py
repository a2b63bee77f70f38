"""``gozen lightcurve``: look up a star or a cone, as a table, a file or a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gozen.cli import table_output
from gozen.cli.column_formats import MAGNITUDE
from gozen.cli.console import messages, results, say
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from gozen.catalog.read.lookup import Catalog

_COLUMNS = (
    *("source_id", "filter", "mjd", "flux", "flux_err", "mag", "mag_err", "limit"),
    *("flags", "exposure", "sensor", "frame"),
)
_FORMATS = {**dict.fromkeys(("flux", "flux_err", "flux_auto"), ".1f"), "limit": MAGNITUDE}
"""Formats of columns whose content is known only in a light-curve table: counts and a magnitude."""
_DEFAULT_RADIUS_ARCSEC = 2.0
_WIDEST_SEARCH_ARCSEC = (60.0, 600.0)
_BAD = ("SATURATED", "EDGE", "DEAD_PIXEL", "NO_CALIBRATION", "REGISTRATION_FAILED")


def lightcurve(
    ctx: typer.Context,
    ra: Annotated[
        str | None,
        typer.Option(help="Right ascension of the centre of a circle: degrees, or hours such as 01:18:59.96."),
    ] = None,
    dec: Annotated[
        str | None, typer.Option(help="Declination of the centre of the circle: degrees, such as 29.71 or +29:42:38.6.")
    ] = None,
    radius: Annotated[float | None, typer.Option(min=0, help="Radius of the circle, arcsec; default: 2.")] = None,
    id_: Annotated[int | None, typer.Option("--id", help="Id of a source: from Gaia, or assigned by Gozen.")] = None,
    good: Annotated[
        bool,
        typer.Option(
            "--good/--all-flags",
            help="Omit points that are saturated, at an edge, on dead pixels, uncalibrated or not registered.",
        ),
    ] = False,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", metavar="NAME", help="Only rows in this filter, written as in the headers."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Names of columns, separated by commas, or `all`.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Maximum number of rows on the terminal; 0 prints all.")] = 40,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw a plot into this .png or .svg file.")] = None,
    csv: table_output.Csv = False,
    json: table_output.Json = False,
    parquet: table_output.Parquet = None,
    table: Annotated[str, typer.Option(help="Name of the table.")] = "lightcurves",
) -> None:
    """Look up light curves by id or within a circle. If nothing is found, report the nearest source."""
    from gozen.catalog import open_catalog

    form = table_output.Form(csv, json, parquet)
    radius = _radius(radius, id_)
    place = _place(ra, dec, id_, radius)
    if plot is not None:
        _check_name(plot)
    catalog = open_catalog(invocation(ctx).store(), table)
    named = _names(columns, catalog)
    found = catalog.lightcurve(id_) if id_ is not None else catalog.cone(*place, radius)
    inside = found if filter_ is None else _in_filter(found, filter_)
    kept = _good(inside) if good else inside
    if id_ is None:
        kept = _nearest_first(kept, place)
    if not len(kept):
        other = _other_filters(found, filter_) if filter_ is not None and len(found) and not len(inside) else ""
        messages().print(other or _nothing(catalog, id_, place, radius, refused=len(inside)))
    if plot is not None:
        _plot(kept, plot, _title(id_, place, radius))
    if csv or json or parquet is not None:
        table_output.show(kept if columns is None else kept.select(named), named, form, "")
    elif plot is None and len(kept):
        _show(kept, named, rows, place if id_ is None else None)


def _place(ra: str | None, dec: str | None, source: int | None, radius: float) -> tuple[float, float]:
    """Return the centre of the circle, degrees; NaN for a look-up by id. The radius (arcsec) is only checked."""
    from gozen.resources.sky_circle import circle_fault

    if source is not None and (ra is not None or dec is not None):
        raise BadRequest("a star and a circle are given: give either --id, or --ra and --dec")
    if source is None and ra is None and dec is None:
        raise BadRequest("no star is given: give either --id, or --ra and --dec")
    if source is not None:
        return float("nan"), float("nan")
    if ra is None or dec is None:
        raise BadRequest("a circle needs both --ra and --dec")
    place = _angle(ra, "hours"), _angle(dec, "degrees")
    fault = circle_fault(*place, radius / 3600)
    if fault is not None:
        raise BadRequest(f"--ra {ra} --dec {dec} --radius {radius:g} is not a circle on the sky: {fault}")
    return place


def _radius(radius: float | None, source: int | None) -> float:
    """Return the radius of the circle, arcsec."""
    if radius is not None and source is not None:
        raise BadRequest("--radius needs --ra and --dec, the centre of the circle, instead of --id")
    return _DEFAULT_RADIUS_ARCSEC if radius is None else radius


def _angle(text: str, unit: Literal["hours", "degrees"]) -> float:
    from gozen.resources.sexagesimal import degrees

    try:
        return float(text)
    except ValueError:
        pass
    try:
        return degrees(text, unit)
    except ValueError as error:
        raise BadRequest(f"--{'ra' if unit == 'hours' else 'dec'}: {error}") from error


def _check_name(path: Path) -> None:
    # Checked before the look-up, and without importing matplotlib.
    from gozen.archive.stores.output_files import check_output

    if path.suffix.lower() not in (".png", ".svg"):
        raise BadRequest(f"cannot write a plot to {path}: give a name that ends in .png or .svg")
    check_output(path)


def _names(columns: str | None, catalog: Catalog) -> list[str]:
    if columns is None:
        return list(_COLUMNS)
    if columns == "all":
        return list(catalog.schema.names)
    names = list(dict.fromkeys(name.strip() for name in columns.split(",") if name.strip()))
    unknown = [name for name in names if name not in catalog.schema.names]
    if unknown or not names:
        raise BadRequest(
            f"the table has no column {', '.join(unknown) or columns!r}; its columns are "
            f"{', '.join(catalog.schema.names)}"
        )
    return names


def _in_filter(found: pa.Table, name: str) -> pa.Table:
    import pyarrow as pa

    from gozen.lightcurves.light_curve_parts import filters_of

    return found.filter(pa.array([one == name for one in filters_of(found)], pa.bool_()))


def _other_filters(found: pa.Table, name: str) -> str:
    from gozen.lightcurves.light_curve_parts import filters_of

    there = ", ".join(repr(one) if one else "an unknown filter (--filter '')" for one in sorted(set(filters_of(found))))
    return f"none of the {len(found):,} points found is in the filter {name!r}; there are points in {there}"


def _good(found: pa.Table) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from gozen.catalog.format.schema import Flag

    bad = np.bitwise_or.reduce([Flag[name].value for name in _BAD])
    return found.filter(pa.array((found["flags"].to_numpy() & bad) == 0))


def _nearest_first(found: pa.Table, place: tuple[float, float]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from gozen.catalog.format.healpix import separation

    far = separation(*place, found["ra"].to_numpy(), found["dec"].to_numpy())
    return found.take(pa.array(np.argsort(far, kind="stable")))


def _show(found: pa.Table, columns: Sequence[str], most: int, place: tuple[float, float] | None) -> None:
    from gozen.lightcurves.light_curve_summary import summaries

    for one in summaries(found, place):
        say(one.sentence)
    found = _by_filter(found)
    shown = found.slice(0, most) if most else found
    table_output.show(shown, columns, table_output.Form(), "", _FORMATS)
    if len(shown) < len(found):
        say(
            f"{len(found) - len(shown):,} more rows: --rows 0 shows all, --csv or --parquet FILE gives them to programs"
        )


def _by_filter(found: pa.Table) -> pa.Table:
    """Return the rows grouped by star, and for each star by filter."""
    import numpy as np
    import pyarrow as pa

    from gozen.lightcurves.light_curve_parts import parts

    return found.take(pa.array(np.concatenate([part.rows for part in parts(found)])))


def _plot(found: pa.Table, path: Path, title: str) -> None:
    if not len(found):
        return
    from gozen.plots.light_curve_plot import draw_lightcurves
    from gozen.plots.style import write_picture

    write_picture(draw_lightcurves(found, title=title), path)
    results().print(f"{path}: {len(found):,} points", soft_wrap=True)


def _title(source: int | None, place: tuple[float, float], radius: float) -> str:
    return "" if source is not None else f"within {radius:g}″ of {place[0]:.5f}°, {place[1]:+.5f}°"


def _nothing(catalog: Catalog, source: int | None, place: tuple[float, float], radius: float, refused: int) -> str:
    """Return the message that nothing was found; it names the nearest source."""
    info = catalog.info()
    nights = "1 night" if len(info.nights) == 1 else f"{len(info.nights)} nights"
    has = f"the table {info.name} has {info.rows:,} rows of {nights}"
    if refused:
        return f"all {refused:,} points that were found have flags; --all-flags shows them"
    if source is not None:
        return f"no source {source}: {has}; search near its position with --ra --dec --radius"
    where = f"no source within {radius:g} arcsec of ra {place[0]:.5f}, dec {place[1]:+.5f}"
    for wider in _WIDEST_SEARCH_ARCSEC:
        nearest = _nearest(catalog, place, wider) if wider > radius else None
        if nearest is not None:
            return f"{where}; the nearest is {nearest[0]}, {nearest[1]:.1f} arcsec away"
    return (
        f"{where}, nor within {_WIDEST_SEARCH_ARCSEC[-1] / 60:g} arcmin: {has}; `gozen exposures` lists the observed "
        "fields"
    )


def _nearest(catalog: Catalog, place: tuple[float, float], radius: float) -> tuple[int, float] | None:
    import numpy as np

    from gozen.catalog.format.healpix import separation

    around = catalog.cone(*place, radius, ["source_id", "ra", "dec"])
    if not len(around):
        return None
    far = separation(*place, around["ra"].to_numpy(), around["dec"].to_numpy())
    best = int(np.argmin(far))
    return around["source_id"][best].as_py(), float(far[best]) * 3600
