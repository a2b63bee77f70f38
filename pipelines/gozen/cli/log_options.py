"""Define the options that select from the observation log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.archive.log.search_log import LogSelection
    from gozen.archive.stores.open_store import Store
    from gozen.resources.sky_circle import SkyCircle

_PANEL = "Selection"


def _option(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, help=text, rich_help_panel=_PANEL)
    return option


Night = Annotated[
    str | None, _option("--night", "Night YYYYMMDD, or a range YYYYMMDD:YYYYMMDD; either end may be omitted.")
]
Exposure = Annotated[str | None, _option("--exposure", "Exposure; * matches any text, ? any character.")]
Object = Annotated[
    str | None, _option("--object", "Target, in upper or lower case; * matches any text, ? any character.")
]
Sensor = Annotated[str | None, _option("--sensor", "Sensor, such as 121; * matches any text, ? any character.")]
DataType = Annotated[str | None, _option("--data-type", "Kind of data: OBJECT, DARK, FLAT or BIAS.")]
Filter = Annotated[
    str | None, _option("--filter", "Filter, in upper or lower case; * matches any text, ? any character.")
]
Project = Annotated[str | None, _option("--project", "Project; * matches any text, ? any character.")]
Status = Annotated[str | None, _option("--status", "Result: reduced or rejected.")]
Reason = Annotated[str | None, _option("--reason", "Name of a rejection, such as NoisyFrame.")]
Ra = Annotated[float | None, _option("--ra", "Right ascension of the centre of a circle, degrees.")]
Dec = Annotated[float | None, _option("--dec", "Declination of the centre of the circle, degrees.")]
Radius = Annotated[float, _option("--radius", "Radius of the circle, degrees.")]


def selection(
    night: str | None, ra: float | None = None, dec: float | None = None, radius: float = 1.0, **texts: str | None
) -> LogSelection:
    """Return the selection that the options define together.

    Parameters
    ----------
    night
        A night, or a range ``FIRST:LAST`` in which either end may be left out.
    ra, dec, radius
        A circle, degrees; no circle without ``ra`` and ``dec``.
    texts
        The other options, by their names in `LogSelection`.

    Raises
    ------
    BadRequest
        A night is not a valid date, or the circle is not valid.
    """
    from gozen.archive.log.search_log import LogSelection

    first, colon, last = (night or "").partition(":")
    return LogSelection(first or None, (last if colon else first) or None, circle=_circle(ra, dec, radius), **texts)


def _circle(ra: float | None, dec: float | None, radius: float) -> SkyCircle | None:
    from gozen.resources.sky_circle import SkyCircle

    if ra is None and dec is None:
        return None
    if ra is None or dec is None:
        raise BadRequest("a circle needs both --ra and --dec")
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 180):
        raise BadRequest(
            f"--ra {ra:g} --dec {dec:g} --radius {radius:g} is not a circle on the sky: "
            "ra is 0 to 360, dec -90 to 90, radius above 0 and up to 180, in degrees"
        )
    return SkyCircle(ra, dec, radius)


def title(what: str, count: int, store: Store) -> str:
    """Return the heading of a table; if nothing was found, it names the nights in the log."""
    from gozen.archive.log.search_log import nights

    if count:
        return f"1 {what.removesuffix('s')}" if count == 1 else f"{count} {what}"
    logged = nights(store)
    has = f"the log has the nights {logged[0]} to {logged[-1]}" if logged else f"the log of {store.url} is empty"
    return f"no {what} found; {has}"
