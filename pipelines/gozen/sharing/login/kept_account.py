"""Keep the account of a user: in the system's keyring, or in a file that only its owner can read.

In a lab, the hub's service keeps it (`gozen.sharing.login.hub_account`). One account is kept at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any, Protocol

from gozen.errors import BadRequest, UnreadableInput
from gozen.sharing.account import Account

_SERVICE, _ENTRY = "gozen", "nextcloud"
_PRIVATE = 0o600
_WIDER = 0o077
LOG_IN = "log in with `gozen share login ADDRESS`, such as `gozen share login https://cloud.example.org`"


class KeptAccount(Protocol):
    """A place that keeps one account."""

    @property
    def place(self) -> str:
        """A description of the place where the account is kept, for messages."""

    def read(self) -> Account | None:
        """Return the account; None if none is kept.

        Raises
        ------
        UnreadableInput
            The account is damaged; a new log-in replaces it.
        """

    def write(self, account: Account) -> None:
        """Keep an account; it replaces the previous one."""

    def forget(self) -> None:
        """Remove the account, also one that is damaged; nothing happens if none is kept."""


class KeyringAccount:
    """Keeps the account in the keyring of the system, by the library `keyring`."""

    @property
    def place(self) -> str:
        """A description of the place where the account is kept, for messages."""
        return "the keyring of this system"

    def read(self) -> Account | None:
        """Return the account; None if none is kept."""
        import keyring

        with _keyring_errors():
            text = keyring.get_password(_SERVICE, _ENTRY)
            return None if text is None else account_of(text, self.place)

    def write(self, account: Account) -> None:
        """Keep an account; it replaces the previous one."""
        import keyring

        with _keyring_errors():
            keyring.set_password(_SERVICE, _ENTRY, text_of(account))

    def forget(self) -> None:
        """Remove the account; nothing happens if none is kept."""
        import keyring
        from keyring.errors import PasswordDeleteError

        with _keyring_errors(), contextlib.suppress(PasswordDeleteError):
            keyring.delete_password(_SERVICE, _ENTRY)


class FileAccount:
    """Keeps the account in a file that only its owner can read.

    Parameters
    ----------
    path
        The file; default: in the user's folder for configurations.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _configuration() / "gozen" / "nextcloud-account.json"

    @property
    def place(self) -> str:
        """A description of the place where the account is kept, for messages."""
        return str(self.path)

    def read(self) -> Account | None:
        """Return the account; None if none is kept.

        Raises
        ------
        BadRequest
            Others can read the file, or this user cannot.
        UnreadableInput
            The file is damaged.
        """
        try:
            # Checked and read through one descriptor: a file that is replaced between the two would be read unchecked.
            with self.path.open(encoding="utf-8") as file:
                self._check_private(os.fstat(file.fileno()))
                return account_of(file.read(), self.place)
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise _damaged(self.place) from error
        except OSError as error:
            raise BadRequest(
                f"{self.path}, which has the app password, cannot be read: {error}; correct this, or remove the file "
                "and log in again"
            ) from error

    def write(self, account: Account) -> None:
        """Keep an account; it replaces the previous one."""
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
                file.write(text_of(account))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise BadRequest(
                f"the app password cannot be kept in {self.path}: {error}; correct this, and log in again"
            ) from error

    def forget(self) -> None:
        """Remove the account; nothing happens if none is kept."""
        self.path.unlink(missing_ok=True)

    def _check_private(self, found: os.stat_result) -> None:
        mode = stat.S_IMODE(found.st_mode)
        if mode & _WIDER or found.st_uid not in (os.getuid(), 0):
            raise BadRequest(
                f"{self.path} has an app password, but other users can read or replace it (mode {mode:04o}): run "
                f"`chmod 600 {self.path}`, and revoke the app password in Nextcloud if others could have read it"
            )


def account_of(text: str, place: str) -> Account:
    """Return the account in a text; raise `UnreadableInput` if there is none in it."""
    try:
        found: dict[str, Any] = json.loads(text)
        return Account(
            str(found["url"]),
            str(found["user"]),
            str(found["password"]),
            str(found.get("user_id") or ""),
            insecure=found.get("insecure") is True,
        )
    except (BadRequest, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(place) from error


def _damaged(place: str) -> UnreadableInput:
    return UnreadableInput(f"the account in {place} is damaged; {LOG_IN}, which replaces it")


def text_of(account: Account) -> str:
    """Return an account as a text, with its password."""
    return json.dumps(
        {
            "url": account.url,
            "user": account.user,
            "user_id": account.user_id,
            "password": account.password,
            "insecure": account.insecure,
        }
    )


def local_account() -> KeptAccount:
    """Return the keyring of this system, or a file if there is no usable keyring."""
    import keyring

    # A backend below this priority fails, or keeps passwords in a file that is less well protected than ours.
    return KeyringAccount() if keyring.get_keyring().priority >= 1 else FileAccount()


def _configuration() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


@contextlib.contextmanager
def _keyring_errors() -> Any:
    from keyring.errors import KeyringError

    try:
        yield
    except KeyringError as error:
        raise BadRequest(
            f"the keyring of this system cannot be used: {error}; unlock it, or set "
            "PYTHON_KEYRING_BACKEND=keyring.backends.fail.Keyring to keep the app password in a file"
        ) from error
