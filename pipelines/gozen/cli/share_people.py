"""``gozen share with``, ``link``, ``list`` and ``withdraw``: who sees which files of the user's Nextcloud."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli.console import messages, results, say
from gozen.cli.share_access import cloud_path, open_shares
from gozen.cli.table_output import Csv, Form, Json, show, write_json
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.sharing.people.share_tables import NewLink, ShareTable

Path = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="File or folder in Nextcloud, as a path from the top of your files. If Nextcloud shows your home: also a "
        "file or folder of your home.",
    ),
]
Group = Annotated[list[str] | None, typer.Option("--group", help="A group; repeat the option for more.")]


def with_(
    ctx: typer.Context,
    path: Path,
    users: Annotated[list[str] | None, typer.Argument(metavar="[USER]...", help="Names of users.")] = None,
    group: Group = None,
    write: Annotated[bool, typer.Option("--write", help="They may also change, create and delete.")] = False,
    reshare: Annotated[bool, typer.Option("--reshare", help="They may share it with others.")] = False,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Share a file or folder with users and groups: to read, or with --write to change.

    To change the rights of a share, run the command again with other options. It does not make a second share.
    """
    form = Form(csv=csv, json=json)
    path = cloud_path(ctx, path)
    with open_shares(ctx) as shares:
        found = shares.share_with(path, users or (), group or (), write=write, reshare=reshare)
    _print(found, form, f"{path} is shared with")


def link(
    ctx: typer.Context,
    path: Path,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password of the link, or read it from a pipe.")
    ] = False,
    new_password: Annotated[bool, typer.Option("--new-password", help="Make a strong password, and print it.")] = False,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Day on which the link ends, such as 2027-01-31, or 30d for 30 days."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="A name for the link, which only you see.")] = None,
    upload: Annotated[
        bool, typer.Option("--upload", help="Visitors may put files into the folder, change and delete them.")
    ] = False,
    qr: Annotated[
        bool | None, typer.Option("--qr/--no-qr", help="Print a QR code; default: on a terminal.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Make a public link to a file or folder, and print its address and a QR code."""
    if password and new_password:
        raise BadRequest("give only one of --password and --new-password")
    path = cloud_path(ctx, path)
    secret: str | bool = _asked_password() if password else new_password
    with open_shares(ctx) as shares:
        found = shares.link(path, password=secret, expires=expires, label=label or "", upload=upload)
    if json:
        write_json(_as_json(found, show_password=new_password))
        return
    _print_link(found, show_password=new_password, qr=results().is_terminal if qr is None else qr)


def list_(
    ctx: typer.Context,
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="File or folder in Nextcloud; default: everything that you share.")
    ] = "",
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List what you share, or who can see one file or folder, also through shares of the folders that contain it."""
    form = Form(csv=csv, json=json)
    path = cloud_path(ctx, path)
    with open_shares(ctx) as shares:
        found = shares.of(path) if path.strip("/") else shares.all()
    _print(found, form, f"{path} is seen by" if path else "you share")


def withdraw(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="File or folder in Nextcloud.")] = "",
    user: Annotated[list[str] | None, typer.Option("--user", help="A user; repeat the option for more.")] = None,
    group: Group = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="A link with this label.")] = None,
    links: Annotated[bool, typer.Option("--links", help="All public links of PATH.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All shares of PATH.")] = False,
    number: Annotated[
        list[str] | None, typer.Option("--id", metavar="NUMBER", help="A share, by its number in `gozen share list`.")
    ] = None,
) -> None:
    """Withdraw shares of a file or folder: the receivers no longer see it, and its links no longer work."""
    from gozen.sharing.people.choose_shares import Choice, chosen

    choice = Choice(tuple(user or ()), tuple(group or ()), tuple(label or ()), links=links, everything=everything)
    if bool(path) == bool(number) or (path and not choice):
        raise BadRequest(
            "name PATH with --user, --group, --label, --links or --all, or name a share by its number with --id"
        )
    path = cloud_path(ctx, path)
    with open_shares(ctx) as shares:
        selected = chosen(shares.of(path), path, choice) if path else list(number or ())
        shares.withdraw(selected)
    messages().print(f"{len(selected)} share{'s' * (len(selected) != 1)} withdrawn")


def _asked_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("password of the link", hide_input=True, confirmation_prompt=True, err=True))
    secret = sys.stdin.readline().rstrip("\n")
    if not secret:
        raise BadRequest("--password reads the password from standard input, which is empty")
    return secret


def _print(found: ShareTable, form: Form, title: str) -> None:
    import pyarrow as pa

    if not found and not (form.csv or form.json):
        say(repr(found))
        return
    from gozen.sharing.people.share_tables import COLUMNS

    table = pa.Table.from_pylist(found.rows(), schema=pa.schema([(name, pa.string()) for name in COLUMNS]))
    show(table, found.columns(), form, title)


def _print_link(found: NewLink, *, show_password: bool, qr: bool) -> None:
    from gozen.sharing.people.share_tables import described

    say(found.url)
    if show_password:
        say(f"password: {found.password}")
    messages().print(described(found.share))
    if qr:
        # The code is read by a camera: lines must not be broken, whatever the width of the terminal is.
        sys.stdout.write(f"{found.qr()}\n")


def _as_json(found: NewLink, *, show_password: bool) -> dict[str, str | None]:
    share = found.share
    return {
        "url": found.url,
        "password": found.password if show_password else None,
        "path": share.path,
        "expires": share.expires.isoformat() if share.expires else None,
        "id": share.id,
    }
