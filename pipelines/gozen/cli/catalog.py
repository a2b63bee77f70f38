"""``gozen catalog``: list, verify, import, compact and release tables."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from gozen.cli.console import results
from gozen.cli.invocation import invocation
from gozen.cli.table_output import Json, write_json
from gozen.errors import BadRequest, ExitCode

app = typer.Typer(help="List, import, verify, compact and release tables.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the table.")]


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the tables and the releases."""
    from gozen.catalog import open_catalog
    from gozen.catalog.format.manifest import tables
    from gozen.catalog.maintain.release import read_release, releases

    store = invocation(ctx).store()
    held = [open_catalog(store, name).info() for name in tables(store)]
    named = {name: {w: v.name for w, v in read_release(store, name).tables.items()} for name in releases(store)}
    if json:
        write_json({"tables": [vars(one) for one in held], "releases": named})
        return
    table = Table("table", title=store.url, title_justify="left")
    for column in ("version", "rows", "files", "MB", "nights"):
        table.add_column(column, justify="right")
    for one in held:
        numbers = (f"{one.rows:,}", f"{one.files:,}", f"{one.bytes / 1e6:.1f}", str(len(one.nights) or ""))
        table.add_row(one.name, str(one.version), *numbers)
    results().print(table)
    for release, words in named.items():
        typer.echo(f"release {release}: {', '.join(f'{word}={name}' for word, name in words.items())}")


@app.command()
def info(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Describe a table: version, number of rows, columns with units, and the releases that contain it."""
    from gozen.catalog import open_catalog
    from gozen.catalog.maintain.release import released

    store = invocation(ctx).store()
    catalog = open_catalog(store, name)
    found = catalog.info()
    held = sorted(released(store, name))
    fields = [
        {"name": f.name, "type": str(f.type), **{k: (f.metadata or {}).get(k.encode(), b"").decode() for k in _SAID}}
        for f in catalog.schema
    ]
    if json:
        write_json({**vars(found), "columns": fields, "margin": catalog.manifest.margin, "releases": held})
        return
    typer.echo(
        f"{name}: version {found.version}, generation {found.generation}, {found.rows:,} rows in {found.files:,} files "
        f"of {found.partitions:,} partitions, {found.bytes / 1e6:.1f} MB"
    )
    for label, said in (("nights", _span(found.nights)), ("margin", catalog.manifest.margin), ("releases", held)):
        if said:
            typer.echo(f"{label}: {said if isinstance(said, str) else ', '.join(said)}")
    table = Table("column", "type", "unit", "what")
    for field in fields:
        table.add_row(field["name"], field["type"], field["unit"], field["description"])
    results().print(table)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="Path or address of a FITS, CSV, ECSV, Parquet, Arrow or VOTable file.")],
    name: Annotated[str, typer.Option(help="Name of the table.")],
    ra: Annotated[
        str | None, typer.Option(metavar="COL", help="Column of right ascension; needed only if its name is unusual.")
    ] = None,
    dec: Annotated[
        str | None, typer.Option(metavar="COL", help="Column of declination; needed only if its name is unusual.")
    ] = None,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="COL", help="Column of ids; needed only if its name is unusual.")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Unit of the positions, such as arcsec or hourangle,deg; overrides that of the file."),
    ] = None,
    hdu: Annotated[
        str | None,
        typer.Option(help="Which of several tables to read: number or EXTNAME (FITS); number, ID or name (VOTable)."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of a text file that is not UTF-8, such as latin-1.")
    ] = None,
    partition_rows: Annotated[
        int, typer.Option(min=1, help="Maximum number of rows in a partition (a small area of the sky).")
    ] = 1_000_000,
    margin: Annotated[
        float, typer.Option(min=0, help="Width of the margin around partitions for cross-matches, arcsec; 0: none.")
    ] = 5.0,
) -> None:
    """Make a table from a file. Gozen finds the columns of positions and ids by their names, and keeps all others."""
    from gozen.catalog.imports.import_table import ImportRequest, import_table
    from gozen.catalog.write.table_options import TableOptions

    given = invocation(ctx)
    request = ImportRequest(ra, dec, id_, unit, hdu, encoding, storage=given.settings().storage)
    done = import_table(given.store(may_be_new=True), file, name, request, TableOptions(partition_rows, margin or None))
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    left = f", {done.left_out:,} rows without a position left out" if done.left_out else ""
    ids = f"ids from {done.source}" if done.source else "ids made from the positions"
    typer.echo(f"{name}: {done.version.rows:,} rows, positions from {done.ra} and {done.dec}, {ids}{left}")


@app.command()
def verify(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of tables; default: all.")
    ] = None,
    json: Json = False,
) -> None:
    """Read every file of tables and releases, and report problems.

    The exit code is 65 if there is a problem.
    """
    from gozen.catalog.format.manifest import tables
    from gozen.catalog.maintain import verify as check

    store = invocation(ctx).store()
    found = [check.verify(store, name) for name in names or tables(store)]
    if json:
        write_json([{**vars(one), "problems": [vars(p) for p in one.problems]} for one in found])
    else:
        for one in found:
            for problem in one.problems:
                typer.echo(f"{store.url_of(problem.key)} {problem.what}: {problem.remedy}")
            wrong = f"{len(one.problems)} problems" if one.problems else "all as it should be"
            typer.echo(f"{one.name}: {one.files:,} files, {one.rows:,} rows, {one.bytes / 1e6:.1f} MB: {wrong}")
    if any(one.problems for one in found):
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)


@app.command()
def compact(
    ctx: typer.Context,
    name: Name,
    everything: Annotated[
        bool, typer.Option("--all", help="Merge the files of every partition that has more than one file.")
    ] = False,
    most_files: Annotated[
        int, typer.Option(min=1, help="Merge the files of partitions that have more files than this.")
    ] = 16,
    partition_rows: Annotated[
        int, typer.Option(min=1, help="Split partitions that have more rows than this.")
    ] = 20_000_000,
    remove_older_than: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            min=0,
            help="Then delete generations that were unused (not current, in no release) for so many days.",
        ),
    ] = None,
) -> None:
    """Merge the small files of a table, and split large partitions. Other programs can read the table meanwhile.

    The result is a new generation, which is a new folder of files. The previous one is kept.
    """
    from gozen.catalog.maintain.compact import compact as merge
    from gozen.catalog.maintain.old_generations import remove_older, retire

    store, now = invocation(ctx).store(), datetime.now(UTC)
    done = merge(store, name, everything=everything, most_files=most_files, partition_rows=partition_rows)
    if done.merged:
        split = f", {done.split} of them split" if done.split else ""
        typer.echo(
            f"{name}: {done.files_before:,} files became {done.files_after:,}, "
            f"{done.merged:,} partitions written{split}; generation {done.generation} is the current one"
        )
    else:
        typer.echo(f"{name}: nothing to merge, {done.files_after:,} files")
    if remove_older_than is None:
        waiting = retire(store, name, now)
        if waiting:
            typer.echo(f"unused generations that are kept: {', '.join(map(str, waiting))} (--remove-older-than DAYS)")
        return
    for one in remove_older(store, name, now, remove_older_than):
        stays = f"kept: unused since {one.since:%Y-%m-%d %H:%M} UTC"
        went = f"removed, {one.files:,} files" if one.files else stays
        typer.echo(f"generation {one.generation}: {went}")


@app.command()
def release(
    ctx: typer.Context,
    rerun: Annotated[str, typer.Argument(help="Name of the release.")],
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=TABLE...",
            help="Tables of the release. NAME is the name of the table in the release; default: TABLE.",
        ),
    ],
) -> None:
    """Give the current versions of tables a permanent name; later changes of the tables do not change the release."""
    from gozen.catalog.maintain.release import release as make

    pairs = [_word(one) for one in tables]
    words = dict(pairs)
    if len(words) < len(tables):
        twice = next(word for word, count in Counter(word for word, _ in pairs).items() if count > 1)
        raise BadRequest(
            f"two tables of the release have the name {twice}: give each a different name, such as {twice}_2=TABLE"
        )
    for word, version in make(invocation(ctx).store(), rerun, words).tables.items():
        typer.echo(
            f"{rerun}.{word}: {version.name} version {version.version}, {version.rows:,} rows, "
            f"generation {version.generation}"
        )


_SAID = ("unit", "description")


def _word(text: str) -> tuple[str, str]:
    word, equals, name = text.partition("=")
    if not equals:
        return text, text
    if not word or not name:
        raise BadRequest(
            f"{text!r} does not name a table of a release: write NAME_IN_RELEASE=TABLE, such as forced=s20a_wide_forced"
        )
    return word, name


def _span(nights: tuple[int, ...]) -> str:
    if not nights:
        return ""
    return f"{nights[0]}" if len(nights) == 1 else f"{len(nights)}, {nights[0]} to {nights[-1]}"
