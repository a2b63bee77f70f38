"""Print tables on the terminal, as CSV or JSON, or write them to Parquet."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gozen.cli import cell_text
from gozen.cli.column_formats import format_of
from gozen.cli.console import results
from gozen.errors import BadRequest

if TYPE_CHECKING:
    import pyarrow as pa

_WIDEST = 100_000

Csv = Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.", rich_help_panel="Output")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", rich_help_panel="Output")]
Parquet = Annotated[
    Path | None,
    typer.Option("--parquet", metavar="FILE", help="Write the result to this Parquet file.", rich_help_panel="Output"),
]


@dataclass(frozen=True)
class Form:
    """The output format of a table: one of CSV, JSON and Parquet, else a table on the terminal."""

    csv: bool = False
    json: bool = False
    parquet: Path | None = None

    def __post_init__(self) -> None:
        if self.csv + self.json + (self.parquet is not None) > 1:
            raise BadRequest("give only one of --csv, --json and --parquet")
        if self.parquet is not None:
            _check_parquet(self.parquet)


def show(
    table: pa.Table, columns: Sequence[str], form: Form, title: str, formats: Mapping[str, str] | None = None
) -> None:
    """Print a table or write it to a file.

    Parameters
    ----------
    columns
        Columns that are shown on the terminal; the other formats contain all.
    formats
        Number formats of columns on the terminal, by column, if they differ from those of `column_formats`.
    """
    if form.csv:
        from pyarrow import csv

        sink = io.BytesIO()
        csv.write_csv(cell_text.for_csv(table), sink)
        sys.stdout.write(sink.getvalue().decode())
    elif form.json:
        names, listed = table.column_names, [cell_text.values(column) for column in table.columns]
        write_json([dict(zip(names, row, strict=True)) for row in zip(*listed, strict=True)])
    elif form.parquet is not None:
        _write_parquet(table, form.parquet)
        results().print(f"{form.parquet}: {len(table)} rows")
    else:
        _print(table, columns, title, formats or {})


def write_json(content: Any) -> None:
    """Print JSON; `gozen.cli.cell_text.plain` converts dates, bytes and values that are not finite."""
    sys.stdout.write(json.dumps(cell_text.plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _check_parquet(path: Path) -> None:
    from gozen.archive.stores.output_files import check_output

    check_output(path, is_replaced=True)


def _write_parquet(table: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    from gozen.archive.stores.output_files import writing

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        try:
            parquet.write_table(table, partial, compression="zstd")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _print(table: pa.Table, columns: Sequence[str], title: str, formats: Mapping[str, str]) -> None:
    import pyarrow as pa

    printed = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        printed.add_column(name, justify="left" if pa.types.is_string(table.schema.field(name).type) else "right")
    shown = [
        [text_of(value, formats.get(name) or format_of(name)) for value in cell_text.values(table.column(name))]
        for name in columns
    ]
    for row in zip(*shown, strict=True):
        printed.add_row(*row)
    console = results()
    if not console.is_terminal:
        # In a file or a pipe no line is too wide, and a number must not lose its last digits.
        unlimited = console.options.update(max_width=_WIDEST)
        console.width = max(console.width, console.measure(printed, options=unlimited).maximum)
    console.print(printed)


def text_of(value: Any, form: str | None = None) -> str:
    """Return a value as text for the terminal.

    Null becomes an empty text. Floats without a format have five significant digits if they are below 10,000, and
    five decimals if they are larger. A format applies only to floats.
    """
    if value is None:
        return ""
    if form is not None and isinstance(value, float):
        return format(value, form)
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 10000 else f"{value:.5f}".rstrip("0").rstrip(".")
    return cell_text.text(value) if isinstance(value, bytes | list | dict) else str(value)
