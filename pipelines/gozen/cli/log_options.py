"""Define the options that select from the observation log."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli import table_output
from gozen.cli.console import messages, say
from gozen.errors import BadRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from gozen.archive.log.search_log import LogSelection
    from gozen.archive.stores.open_store import Store
    from gozen.resources.sky_circle import SkyCircle

_PANEL = "Selection"
_TEXTS = ("exposure", "object", "sensor", "data_type", "filter", "project", "status", "reason")


def _option(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, help=text, rich_help_panel=_PANEL)
    return option


Night = Annotated[
    str | None, _option("--night", "Night YYYYMMDD, or a range YYYYMMDD:YYYYMMDD; either end may be omitted.")
]
Exposure = Annotated[str | None, _option("--exposure", "Exposure; * matches any text, ? any character.")]
Object = Annotated[str | None, _option("--object", "Target; case is ignored; * matches any text, ? any character.")]
Sensor = Annotated[str | None, _option("--sensor", "Sensor, such as 121; * matches any text, ? any character.")]
DataType = Annotated[str | None, _option("--data-type", "Kind of data: OBJECT, DARK, FLAT or BIAS.")]
Filter = Annotated[str | None, _option("--filter", "Filter; case is ignored; * matches any text, ? any character.")]
Project = Annotated[str | None, _option("--project", "Project; case is ignored; * matches any text, ? any character.")]
Status = Annotated[str | None, _option("--status", "Result: reduced or rejected.")]
Reason = Annotated[str | None, _option("--reason", "Name of a rejection, such as NoisyFrame.")]
Ra = Annotated[float | None, _option("--ra", "Right ascension of the centre of a circle, degrees.")]
Dec = Annotated[float | None, _option("--dec", "Declination of the centre of the circle, degrees.")]
Radius = Annotated[float | None, _option("--radius", "Radius of the circle, degrees; default: 1.")]


def selection(
    night: str | None,
    ra: float | None = None,
    dec: float | None = None,
    radius: float | None = None,
    **texts: str | None,
) -> LogSelection:
    """Return the selection that the options define together.

    Parameters
    ----------
    night
        A night, or a range ``FIRST:LAST`` in which either end may be left out.
    ra, dec, radius
        A circle, degrees; no circle without ``ra`` and ``dec``. The default of the radius is 1.
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


def _circle(ra: float | None, dec: float | None, radius: float | None) -> SkyCircle | None:
    from gozen.resources.sky_circle import SkyCircle

    if ra is None and dec is None:
        if radius is not None:
            raise BadRequest("--radius needs --ra and --dec, the centre of the circle")
        return None
    if ra is None or dec is None:
        raise BadRequest("a circle needs both --ra and --dec")
    return SkyCircle(ra, dec, 1.0 if radius is None else radius)


def show_found(
    found: pa.Table,
    columns: Sequence[str],
    form: table_output.Form,
    what: str,
    *,
    store: Store,
    selection: LogSelection,
    more: Mapping[str, object] | None = None,
) -> None:
    """Print the rows that a search found; if there are none, print the conditions.

    Parameters
    ----------
    what
        What the rows are, in the plural.
    more
        Further conditions by their options; None and False do not count.
    """
    if len(found):
        heading = f"1 {what.removesuffix('s')}" if len(found) == 1 else f"{len(found)} {what}"
        table_output.show(found, columns, form, heading)
        return
    sentence = nothing_found(what, store, selection, more or {})
    if form == table_output.Form():
        say(sentence)
        return
    messages().print(sentence)
    table_output.show(found, columns, form, "")


def nothing_found(what: str, store: Store, selection: LogSelection, more: Mapping[str, object]) -> str:
    """Return the message that nothing was found, with the conditions of the search and the nights of the log."""
    from gozen.archive.log.search_log import nights

    given = conditions(selection, more)
    logged = nights(store)
    has = f"the log has the nights {logged[0]} to {logged[-1]}" if logged else f"the log of {store.url} is empty"
    return f"no {what} found{' for ' if given else ''}{given}; {has}"


def conditions(selection: LogSelection, more: Mapping[str, object]) -> str:
    """Return the conditions of a search as options of the command line."""
    first, last, circle = selection.first_night, selection.last_night, selection.circle
    night = first if first == last else f"{first or ''}:{last or ''}"
    texts = {f"--{name.replace('_', '-')}": getattr(selection, name) for name in _TEXTS}
    degrees = {} if circle is None else {"--ra": circle.ra, "--dec": circle.dec, "--radius": circle.radius_deg}
    where = {option: str(value).removesuffix(".0") for option, value in degrees.items()}
    every = {"--night": night, **texts, **where, **more}
    return " ".join(
        option if value is True else f"{option} {shlex.quote(str(value))}".strip()
        for option, value in every.items()
        if value is not None and value is not False
    )
