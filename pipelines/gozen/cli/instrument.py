"""``gozen instrument``: list, show and check instrument profiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gozen.cli.console import results
from gozen.cli.invocation import invocation
from gozen.cli.table_output import Json, write_json
from gozen.errors import CorruptFile, ExitCode

if TYPE_CHECKING:
    from gozen.instrument.profile import Profile
    from gozen.instrument.profile_check import QuantityCheck

app = typer.Typer(
    help="Print instrument profiles (descriptions of cameras), and check what a profile reads from your files.",
    no_args_is_help=True,
)

ProfileName = Annotated[
    str | None,
    typer.Argument(
        metavar="[PROFILE]", help="Name or path of the instrument profile; default: the setting `instrument`."
    ),
]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the profiles that are part of Gozen. You can describe any other camera in a YAML file."""
    from gozen.instrument.profile import load_profile, shipped_profiles

    profiles = [load_profile(name) for name in shipped_profiles()]
    if json:
        write_json([{"name": profile.name, "description": profile.description} for profile in profiles])
        return
    for profile in profiles:
        typer.echo(f"{profile.name}: {profile.description}")


@app.command()
def show(ctx: typer.Context, profile: ProfileName = None, json: Json = False) -> None:
    """Print all values of a profile, including defaults."""
    import yaml

    from gozen.instrument.profile import load_profile

    content = load_profile(profile or invocation(ctx).settings().instrument).model_dump(mode="json", exclude_none=True)
    if json:
        write_json(content)
    else:
        typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110))


@app.command()
def check(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Name or path of the profile.")],
    files: Annotated[list[Path], typer.Argument(metavar="FITS...", help="Raw FITS files.")],
    json: Json = False,
) -> None:
    """Show what a profile reads from FITS files: each quantity, its keyword, its value and its interpretation.

    The exit code is 65 if a file cannot be read with the profile.
    """
    from gozen.instrument.profile import load_profile

    camera = load_profile(profile)
    checks = [_check(path, camera) for path in files]
    if json:
        write_json([_as_json(path, found) for path, found in zip(files, checks, strict=True)])
    else:
        _print_areas(camera)
        for path, found in zip(files, checks, strict=True):
            _print_check(path, found)
    if any(isinstance(found, CorruptFile) or found.problems for found in checks):
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)


def _check(path: Path, profile: Profile) -> QuantityCheck | CorruptFile:
    from gozen.frames.pixel_findings import findings
    from gozen.frames.raw import read_words
    from gozen.instrument.profile_check import check_file

    try:
        words, shape = read_words(path, profile.hdu)
    except CorruptFile as error:
        return error
    found = check_file(words, shape, profile, path.name)
    problems, notes = findings(path, profile)
    return replace(found, problems=found.problems + problems, notes=notes)


def _print_areas(profile: Profile) -> None:
    rows, columns = profile.active_shape
    typer.echo(f"profile {profile.name}: {profile.description}")
    typer.echo(f"  raw frame {profile.shape[1]} columns x {profile.shape[0]} rows, one file per {_per(profile)}")
    typer.echo(f"  active    {profile.active}: {columns} columns x {rows} rows, {_field(profile)}")
    typer.echo(f"  reference {profile.reference or 'none'}")


def _per(profile: Profile) -> str:
    return "sensor and exposure" if profile.raw == "cube" else "frame"


def _field(profile: Profile) -> str:
    rows, columns = profile.active_shape
    scale = profile.pixel_scale_arcsec
    return f"""{columns * scale / 60:.1f}' x {rows * scale / 60:.1f}' on the sky"""


def _print_check(path: Path, found: QuantityCheck | CorruptFile) -> None:
    if isinstance(found, CorruptFile):
        typer.echo(f"\n{path}\n  {found.name}: {found}")
        return
    table = Table("quantity", "word", "value in the file", "read as", title=f"\n{path}", title_justify="left")
    ruled = [quantity for quantity in found.quantities if quantity.words or quantity.value]
    for quantity in ruled:
        read = quantity.converted or ("unreadable" if quantity.problem else "not there")
        table.add_row(quantity.name, " + ".join(quantity.words) or "constant", quantity.value, read)
    results().print(table)
    if len(ruled) < len(found.quantities):
        typer.echo(f"  no rule for {', '.join(one.name for one in found.quantities if one not in ruled)}")
    typer.echo(f"  frames: {found.frames}, night: {found.night or 'unknown'}")
    for problem in found.problems:
        typer.echo(f"  problem: {problem}")
    for note in found.notes:
        typer.echo(f"  note: {note}")


def _as_json(path: Path, found: QuantityCheck | CorruptFile) -> dict[str, Any]:
    if isinstance(found, CorruptFile):
        return {"file": str(path), "problems": [str(found)]}
    return {
        "file": str(path),
        "night": found.night,
        "frames": found.frames,
        "quantities": [vars(quantity) | {"words": list(quantity.words)} for quantity in found.quantities],
        "problems": list(found.problems),
        "notes": list(found.notes),
    }
