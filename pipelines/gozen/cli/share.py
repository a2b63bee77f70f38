"""``gozen share``: files in the user's Nextcloud, and the people who see them."""

from __future__ import annotations

import typer

from gozen.cli import share_files, share_login, share_people
from gozen.sharing.installed import check_installed

app = typer.Typer(help="Share files and folders through your Nextcloud.", no_args_is_help=True)

_FILES, _PEOPLE, _ACCOUNT = "Files", "With people", "Account"
app.command("put", rich_help_panel=_FILES)(share_files.put)
app.command("get", rich_help_panel=_FILES)(share_files.get)
app.command("ls", rich_help_panel=_FILES)(share_files.ls)
app.command("with", rich_help_panel=_PEOPLE)(share_people.with_)
app.command("link", rich_help_panel=_PEOPLE)(share_people.link)
app.command("list", rich_help_panel=_PEOPLE)(share_people.list_)
app.command("withdraw", rich_help_panel=_PEOPLE)(share_people.withdraw)
app.command("login", rich_help_panel=_ACCOUNT)(share_login.login)
app.command("logout", rich_help_panel=_ACCOUNT)(share_login.logout)


@app.callback()
def _installed() -> None:
    check_installed("gozen share")
