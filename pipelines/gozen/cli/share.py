"""``gozen share``: files in the user's Nextcloud, and the people who see them."""

from __future__ import annotations

import typer

from gozen.cli import share_files, share_login, share_people, share_publish
from gozen.sharing.installed import PERSONAL, TRANSFERS, check_installed

app = typer.Typer(help="Share files and folders through your Nextcloud.", no_args_is_help=True)

_FILES, _PEOPLE, _LIGHT_CURVES, _ACCOUNT = "Files", "With people", "Light curves", "Account"
_OF_PODS = ("publish", "unpublish")
app.command("put", rich_help_panel=_FILES)(share_files.put)
app.command("get", rich_help_panel=_FILES)(share_files.get)
app.command("ls", rich_help_panel=_FILES)(share_files.ls)
app.command("with", rich_help_panel=_PEOPLE)(share_people.with_)
app.command("link", rich_help_panel=_PEOPLE)(share_people.link)
app.command("list", rich_help_panel=_PEOPLE)(share_people.list_)
app.command("withdraw", rich_help_panel=_PEOPLE)(share_people.withdraw)
app.command("publish", rich_help_panel=_LIGHT_CURVES)(share_publish.publish)
app.command("unpublish", rich_help_panel=_LIGHT_CURVES)(share_publish.unpublish)
app.command("login", rich_help_panel=_ACCOUNT)(share_login.login)
app.command("logout", rich_help_panel=_ACCOUNT)(share_login.logout)


@app.callback()
def _installed(ctx: typer.Context) -> None:
    # The image of pods has neither a keyring nor a need for QR codes.
    needed = TRANSFERS if ctx.invoked_subcommand in _OF_PODS else (*TRANSFERS, *PERSONAL)
    check_installed("gozen share", needed)
