"""``gozen share``: files in the user's Nextcloud, and the people who see them."""

from __future__ import annotations

import typer

from gozen.cli import share_files

app = typer.Typer(help="Share files and folders through your Nextcloud.", no_args_is_help=True)

_FILES = "Files"
app.command("put", rich_help_panel=_FILES)(share_files.put)
app.command("get", rich_help_panel=_FILES)(share_files.get)
app.command("ls", rich_help_panel=_FILES)(share_files.ls)
