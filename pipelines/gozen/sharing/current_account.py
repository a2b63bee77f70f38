"""Find the default account: the account of the settings, or of `gozen share login`.

App passwords are never in the settings. They come from the environment, from a file such as a mounted Secret, or from
the log-in.
"""

from __future__ import annotations

import os
from pathlib import Path

from gozen.errors import BadRequest, reason_of
from gozen.settings import SharingSettings
from gozen.sharing.account import Account
from gozen.sharing.login.log_in import logged_in

PASSWORD = "GOZEN_NEXTCLOUD_PASSWORD"  # noqa: S105 the name of an environment variable


def current_account(settings: SharingSettings) -> Account:
    """Return the account of the settings or, if they have no user and app password, of the last log-in.

    Raises
    ------
    BadRequest
        A part of the account is missing.
    LogInRefused
        The settings name no account, and nobody has logged in.
    """
    password = os.environ.get(PASSWORD) or _from_file(settings.password_file)
    if not password and not settings.user:
        return logged_in()
    missing = [name for name in ("url", "user") if not getattr(settings, name)]
    if missing or not password:
        needed = [f"sharing.{name} (GOZEN_SHARING__{name.upper()})" for name in missing]
        needed += [] if password else [f"an app password in {PASSWORD} or in the file sharing.password_file"]
        raise BadRequest(f"no account of Nextcloud is known: set {', '.join(needed)}")
    assert settings.url is not None
    assert settings.user is not None
    return Account(settings.url, settings.user, password, settings.user_id or "", settings.insecure)


def _from_file(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the app password in {path}: {reason_of(error)}") from error
