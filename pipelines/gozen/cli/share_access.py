"""Open the user's Nextcloud with the settings of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from gozen.cli.invocation import invocation

if TYPE_CHECKING:
    from gozen.settings import SharingSettings
    from gozen.sharing.account import Account
    from gozen.sharing.cloud_connection import Connection
    from gozen.sharing.login.log_in import Connecting
    from gozen.sharing.people.shares import Shares


def connecting(settings: SharingSettings) -> Connecting:
    """Return a function that makes connections with these settings."""
    from gozen.sharing.cloud import connection_for

    def connect(account: Account, *, log_in: bool = True) -> Connection:
        return connection_for(account, settings, log_in=log_in)

    return connect


def cloud_path(ctx: typer.Context, text: str) -> str:
    """Return the path in Nextcloud for a text of the user, which may name a file of the home if Nextcloud shows it."""
    from gozen.sharing.home_folder import home_folder

    return home_folder(invocation(ctx).settings().sharing).meant(text)


@contextmanager
def open_shares(ctx: typer.Context) -> Iterator[Shares]:
    """Yield the shares of the user's account."""
    from gozen.sharing.cloud import connect

    with connect(settings=invocation(ctx).settings().sharing) as cloud:
        yield cloud.shares
