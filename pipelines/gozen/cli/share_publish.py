"""``gozen share publish`` and ``unpublish``: light curves of a table in a folder of Nextcloud."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli.console import say
from gozen.cli.invocation import Invocation, invocation
from gozen.cli.night import selected_circle
from gozen.errors import BadRequest, GozenError, reason_of

if TYPE_CHECKING:
    from gozen.sharing.publishing.decide_shares import SharingWish
    from gozen.sharing.publishing.publish_folder import PublishedFolder
    from gozen.sharing.publishing.publish_outcome import PublishOutcome
    from gozen.workflow.append_nights import AppendRequest

_MOST_RETAINED = 4
"""Most sentences in the result, which is the termination message of a pod: Kubernetes keeps 4096 bytes of it."""

Folder = Annotated[str, typer.Option(metavar="FOLDER", help="Folder in Nextcloud; it is made if it does not exist.")]
Name = Annotated[
    str,
    typer.Option(help="Name of the publication. The names of its files begin with what follows the last slash."),
]
Result = Annotated[
    Path | None, typer.Option(help="Write folder, link and numbers of files and shares to this file, as JSON.")
]


def publish(
    ctx: typer.Context,
    folder: Folder,
    name: Name,
    nights: Annotated[list[str] | None, typer.Argument(help="Nights YYYYMMDD, as for `gozen night append`.")] = None,
    exposure: Annotated[list[str] | None, typer.Option(help="Only this exposure; may be repeated.")] = None,
    region: Annotated[
        str | None, typer.Option(help="Only sensors that overlap this circle: RA,DEC,RADIUS in degrees.")
    ] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Only this run (the name of a processing).")] = None,
    table: Annotated[str, typer.Option(help="Name of the table.")] = "lightcurves",
    user: Annotated[list[str] | None, typer.Option(help="A user who may read the folder; may be repeated.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group that may read the folder; may be repeated.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Make a public link to the folder.")] = False,
    link_days: Annotated[
        int | None, typer.Option(min=1, help="Days after which the link ends; default: by the rule of the server.")
    ] = None,
    link_password_file: Annotated[Path | None, typer.Option(help="File with the password of the link.")] = None,
    result: Result = None,
) -> None:
    """Publish the light curves of a selection in a folder of Nextcloud, and share the folder.

    The folder gets the rows as Parquet and CSV, plots and a summary. Run the command again to update them: equal files
    are not sent, files that somebody has changed in Nextcloud are kept, and users who are no longer named lose access.
    """
    from gozen.archive.stores.output_files import check_output
    from gozen.publication.make_files import make_files

    if result is not None:
        check_output(result)
    if not (nights or exposure or region):
        raise BadRequest("nothing is selected to publish; give at least one night, --exposure or --region")
    called = invocation(ctx)
    request = _request(called, nights or [], exposure or [], region, run_)
    password = _password(link_password_file)
    wish = _wish(user or [], group or [], link=link, days=link_days, password=bool(password))
    with tempfile.TemporaryDirectory() as scratch, _open(called, folder, name) as target:
        target.check()  # before the table is read, which takes minutes
        most = called.settings().sharing.publish_rows
        files = make_files(called.store(), request, table, name.rpartition("/")[2], Path(scratch), most)
        with _result_of_failure(result, target):
            done = target.publish(files, wish, password)
    say(f"{done.folder}: {done.sent} sent, {done.equal} equal{f', {done.removed} removed' if done.removed else ''}")
    if done.link:
        say(done.link)
    _say_who_keeps_access(done)
    _write_result(result, done)


def unpublish(ctx: typer.Context, folder: Folder, name: Name, result: Result = None) -> None:
    """Remove what `gozen share publish` has put into a folder, and withdraw its shares.

    Files that somebody has changed in Nextcloud stay, and so does the folder.
    """
    from gozen.archive.stores.output_files import check_output

    if result is not None:
        check_output(result)
    with _open(invocation(ctx), folder, name) as target:
        done = target.remove()
    kept = f"; kept, because somebody has changed them: {', '.join(done.kept)}" if done.kept else ""
    found = f"{done.removed} files removed, {done.withdrawn} shares withdrawn{kept}"
    missing = f"no folder or note found for {name}; give the folder and the name with which it was published"
    say(f"{done.folder}: {found if done.was_found else missing}")
    _say_who_keeps_access(done)
    _write_result(result, done)


@contextmanager
def _open(called: Invocation, folder: str, name: str) -> Iterator[PublishedFolder]:
    from gozen.sharing.cloud import connection_for
    from gozen.sharing.current_account import current_account
    from gozen.sharing.publishing.folder_files import FolderFiles
    from gozen.sharing.publishing.publish_folder import PublishedFolder
    from gozen.sharing.remote_names import check_name
    from gozen.sharing.transfers.transfer_notes import TransferNotes

    check_name(name.rpartition("/")[2])
    settings = called.settings().sharing
    account = current_account(settings)
    with connection_for(account, settings) as connection:
        notes = TransferNotes(settings.state.expanduser(), account)
        yield PublishedFolder(FolderFiles(connection, folder, name, notes))


def _request(
    called: Invocation, nights: list[str], exposures: list[str], region: str | None, run: str | None
) -> AppendRequest:
    from gozen.workflow.append_nights import AppendRequest

    circle, reach_deg = selected_circle(called, region)
    return AppendRequest(tuple(nights), tuple(exposures), run, circle, reach_deg)


def _wish(users: list[str], groups: list[str], *, link: bool, days: int | None, password: bool) -> SharingWish:
    from gozen.sharing.publishing.decide_shares import SharingWish
    from gozen.sharing.publishing.published_record import LinkProperties

    if not link and (days is not None or password):
        raise BadRequest("--link-days and --link-password-file are about a link; add --link")
    receivers = [("user", one) for one in users] + [("group", one) for one in groups]
    return SharingWish(frozenset(receivers), LinkProperties(days, password) if link else None)


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the password of the link in {path}: {reason_of(error)}") from error
    if not found:
        raise BadRequest(f"{path}, the file with the password of the link, is empty; write the password into it")
    return found


def _say_who_keeps_access(done: PublishOutcome) -> None:
    for one in done.who_keeps_access():
        say(one)


@contextmanager
def _result_of_failure(path: Path | None, target: PublishedFolder) -> Iterator[None]:
    """After an error, write it and what was published before: the link may exist although a user was refused."""
    try:
        yield
    except GozenError as error:
        if target.outcome.link or target.outcome.settled:
            _write_result(path, target.outcome, f"\ngozen: {error.name}: {error}\n")
        raise


def _write_result(path: Path | None, done: PublishOutcome, error: str = "") -> None:
    """Write what a pod reports to the operator: a line of JSON, and a line with the error if there is one."""
    from gozen.archive.stores.output_files import writing

    if path is None:
        return
    said = {
        "folder": done.folder, "link": done.link, "files": done.sent + done.equal, "kept": len(done.kept),
        "found": done.was_found, "removed": done.removed, "withdrawn": done.withdrawn,
        "retained": done.who_keeps_access()[:_MOST_RETAINED], "settled": done.settled,
    }  # fmt: skip
    with writing(path):
        path.write_text(json.dumps(said, ensure_ascii=False) + error, encoding="utf-8")
