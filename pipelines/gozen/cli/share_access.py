"""Open the shares of the user's account with the settings of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from gozen.cli.invocation import invocation

if TYPE_CHECKING:
    from gozen.settings import SharingSettings
    from gozen.sharing.account import Account
    from gozen.sharing.connection import Connection
    from gozen.sharing.login.log_in import Connecting
    from gozen.sharing.people.shares import Shares


def connecting(settings: SharingSettings) -> Connecting:
    """Return what makes connections with these settings."""
    from gozen.sharing.connection import Connection

    def connect(account: Account, *, log_in: bool = True) -> Connection:
        return Connection(account, ca_file=str(settings.ca_file) if settings.ca_file else None, log_in=log_in)

    return connect


@contextmanager
def open_shares(ctx: typer.Context) -> Iterator[Shares]:
    """Yield the shares of the account that is logged in."""
    from gozen.sharing.login.log_in import logged_in
    from gozen.sharing.people.shares import Shares

    settings = invocation(ctx).settings().sharing
    with connecting(settings)(logged_in()) as connection:
        yield Shares(connection, lambda _: True)
