"""``gozen share login`` and ``gozen share logout``: an app password for Nextcloud, and its end."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Annotated

import typer

from gozen.cli.console import messages, say
from gozen.cli.invocation import invocation
from gozen.cli.share_access import connecting
from gozen.errors import BadRequest


def login(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Argument(metavar="[ADDRESS]", help="Address of the Nextcloud; default: the setting sharing.url.")
    ] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    minutes: Annotated[float, typer.Option(min=0.01, max=20, help="Minutes to wait until you agree.")] = 20,
) -> None:
    """Log in at your Nextcloud with the browser, and keep the app password that it gives.

    Gozen never sees your own password. In a lab, the hub stores the app password. On other machines it is stored in
    the keyring, or without one in a file that only you can read. `gozen share logout` revokes it.
    """
    from gozen.sharing.login.hub_account import kept_account
    from gozen.sharing.login.log_in import log_in

    settings = invocation(ctx).settings().sharing
    address = url or settings.url or ""
    if not address:
        raise BadRequest("give the address of your Nextcloud, such as `gozen share login https://cloud.example.org`")
    kept = kept_account()

    def show(page: str) -> None:
        say(page)
        messages().print("open this address in a browser, log in there, and choose Grant access; waiting ...")
        if browser and _has_browser():
            webbrowser.open(page)

    account = log_in(
        address,
        show,
        kept=kept,
        connecting=connecting(settings),
        patience_s=60 * minutes,
        insecure=settings.insecure,
    )
    messages().print(f"logged in at {account.url} as {account.id}; {kept.place} keeps the app password")


def logout(ctx: typer.Context) -> None:
    """Revoke the app password at the server, and forget it."""
    from gozen.sharing.login.log_in import log_out

    account = log_out(connecting=connecting(invocation(ctx).settings().sharing))
    if account is None:
        messages().print("you were not logged in")
        return
    messages().print(f"logged out: the app password of {account.id} at {account.url} is revoked and forgotten")


def _has_browser() -> bool:
    # On Linux without a display, a browser for terminals would take the terminal over.
    return sys.stdout.isatty() and (
        sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    )
