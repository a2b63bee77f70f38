"""Define the options that the subcommands for reductions share."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.errors import BadRequest
from gozen.resources.pipeline_names import PIPELINE_NAMES

Instrument = Annotated[
    str | None, typer.Option(help="Instrument profile: a name from `gozen instrument list`, or a path.")
]
Reference = Annotated[
    str | None, typer.Option(help="Reference catalogue: a table file, or the name of a table of the archive.")
]
Run = Annotated[
    str | None, typer.Option("--run", help="Name of this run; choose a new name to reduce data again in another way.")
]
Part = Annotated[
    int | None,
    typer.Option(min=0, help="Index of the group of sensors to process; the first is 0. Pods use this option."),
]
RawURL = Annotated[
    str | None,
    typer.Option("--raw-url", help="Folder of the raw data of the exposure, if they are not in the archive."),
]
PartSize = Annotated[int, typer.Option(min=1, help="Number of sensors in each group.")]
Workers = Annotated[int | None, typer.Option(help="Number of worker processes; default: one per core.")]


def pipeline_names(text: str | None) -> list[str]:
    """Return the pipelines named on the command line; raise `BadRequest` if one does not exist."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in PIPELINE_NAMES]
    if unknown:
        raise BadRequest(f"unknown pipeline {', '.join(unknown)}; the pipelines are {', '.join(PIPELINE_NAMES)}")
    return names
