"""Log in at a Nextcloud with the browser, keep the app password, use it, and revoke it."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from typing import Protocol

from gozen.errors import BadRequest, CloudRefused, LogInRefused, SharingError, UnreadableInput
from gozen.sharing.account import Account
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.login.hub_account import kept_account
from gozen.sharing.login.kept_account import LOG_IN, KeptAccount
from gozen.sharing.login.login_flow import LIFETIME_S, LogInFlow, with_user_id
from gozen.sharing.ocs_answers import OcsRefusal
from gozen.sharing.ocs_calls import OcsCalls

_BY_HAND = "revoke it in Nextcloud's settings, in the part Security, under Devices & sessions"
_NOT_REVOKED = f"The server may still accept its app password: {_BY_HAND}"
_log = logging.getLogger(__name__)


class Connecting(Protocol):
    """Makes a connection, as `gozen.sharing.cloud_connection.Connection` does."""

    def __call__(self, account: Account, *, log_in: bool = True) -> Connection:
        """Return a connection for the account; without log-in its requests are anonymous."""


def to_user(page: str) -> None:
    """Print the address of the page on which the user logs in."""
    sys.stdout.write(f"open this address, log in there, and choose Grant access:\n{page}\n")
    sys.stdout.flush()


def log_in(
    url: str,
    show: Callable[[str], None] = to_user,
    *,
    kept: KeptAccount | None = None,
    connecting: Connecting = Connection,
    patience_s: float = LIFETIME_S,
    insecure: bool = False,
) -> Account:
    """Log in at a server, and keep the app password; it replaces one that was revoked in Nextcloud.

    Parameters
    ----------
    url
        Address of the server.
    show
        Called with the address that the user opens in a browser; default: it is printed.
    kept
        Where the account is kept; default: the hub in a lab, else this machine.
    patience_s
        Seconds to wait for the user; the server waits for 20 minutes at most.
    insecure
        Whether an address without TLS on another machine is allowed.

    Raises
    ------
    BadRequest
        The user is logged in already, and the server did not say that the app password was revoked.
    SharingError
        The server cannot be reached, is not a Nextcloud, or the user did not agree in time.
    """
    kept = kept or kept_account()
    before = _kept_before(kept)
    if before is not None and not _is_revoked(before, connecting):
        raise BadRequest(
            f"you are logged in at {before.url} as {before.user}; run `gozen share logout` first, which revokes that "
            "app password"
        )
    with connecting(Account(url, "nobody", "", insecure=insecure), log_in=False) as anonymous:
        flow = LogInFlow(anonymous, device_name())
        began = flow.begin()
        show(began.page)
        account = flow.finish(began, patience_s)
    with connecting(account) as connection:
        try:
            account = with_user_id(account, connection)
            kept.write(account)
        except Exception:
            # Nobody would know of this app password any more.
            revoke(connection)
            raise
    return account


def _kept_before(kept: KeptAccount) -> Account | None:
    """Return the account that is kept; None also if it is damaged, because the new one replaces it."""
    try:
        return kept.read()
    except UnreadableInput:
        _log.warning("the account in %s is damaged, and this log-in replaces it. %s", kept.place, _NOT_REVOKED)
        return None


def _is_revoked(account: Account, connecting: Connecting) -> bool:
    """Return whether the server says that it does not accept the app password; False if it does not answer."""
    try:
        with connecting(account) as connection:
            with_user_id(account, connection)
    except LogInRefused:
        return True
    except SharingError:
        return False
    return False


def log_out(*, kept: KeptAccount | None = None, connecting: Connecting = Connection) -> Account | None:
    """Revoke the app password at the server and forget it; return the account, None if there was none.

    It is forgotten even if the server cannot be reached.

    Raises
    ------
    SharingError
        The app password was forgotten, but not revoked.
    UnreadableInput
        The account was damaged. It was forgotten, but its app password was not revoked.
    """
    kept = kept or kept_account()
    try:
        account = kept.read()
    except UnreadableInput as error:
        kept.forget()
        raise UnreadableInput(f"the account in {kept.place} was damaged, and is removed now. {_NOT_REVOKED}") from error
    if account is None:
        return None
    try:
        with connecting(account) as connection:
            revoke(connection)
    except LogInRefused:
        return account  # it was revoked before
    except SharingError as error:
        raise type(error)(
            f"{error}. This machine has forgotten the app password, but the server still accepts it: {_BY_HAND}"
        ) from error
    finally:
        kept.forget()
    return account


def logged_in(*, kept: KeptAccount | None = None) -> Account:
    """Return the account of this user.

    Raises
    ------
    LogInRefused
        The user has not logged in.
    UnreadableInput
        The account is damaged.
    """
    found = (kept or kept_account()).read()
    if found is None:
        raise LogInRefused(f"you are not logged in at a Nextcloud: {LOG_IN}")
    return found


def revoke(connection: Connection) -> None:
    """Revoke the app password of a connection; raises `SharingError`."""
    subject = f"the app password of {connection.account.user}"
    answer = OcsCalls(connection).tried("DELETE", "core/apppassword", subject, "revoke")
    if isinstance(answer, OcsRefusal):
        raise CloudRefused(f"cannot revoke {subject}: {answer.said}")


def device_name() -> str:
    """Return the name under which Nextcloud lists the app password."""
    return f"Gozen on {socket.gethostname().encode('ascii', 'replace').decode()}"
