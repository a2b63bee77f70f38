"""Reload S3 credentials when their source changes, so that they can be rotated without a restart.

Botocore loads credentials once for each client. Their source may be the environment, which may change in a notebook, or
a file, such as a mounted Kubernetes Secret, which changes atomically. Botocore itself renews the credentials of roles
and machines, which expire.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, CredentialRetrievalError, NoCredentialsError

from gozen.archive.stores.s3_environment import S3Variables, s3_variables

_FILES = (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config"))

Mark = tuple[int, int, int] | None
"""Inode, modification time (ns) and length of a file; None if it does not exist."""
State = tuple[S3Variables, tuple[Mark, ...]]


class Following:
    """A ``credential_provider`` component for botocore that reloads changed credentials.

    Parameters
    ----------
    load
        Loads the credentials from all their possible sources; returns None if no source has any.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def load_credentials(self) -> Credentials:
        """Return credentials that are reloaded when their source changes, even if there are none yet."""
        return _Followed(self._load)


class _Followed(Credentials):  # type: ignore[misc]  # botocore has no types
    def __init__(self, load: Callable[[], Any]) -> None:
        super().__init__("", "", method="followed")
        self._load, self._lock = load, threading.Lock()
        self._seen: State | None = None
        self._newest: Any = None

    def get_frozen_credentials(self) -> Any:
        """Return the current credentials; the previous ones if the current source cannot be read or has none.

        Raises
        ------
        NoCredentialsError
            No credentials have been found so far.
        CredentialRetrievalError
            The credentials have expired, and there are no new ones.
        """
        with self._lock:
            # Before the credentials are loaded: if a file changes in between, the next request loads it again.
            seen = _state()
            if self._newest is None:
                self._newest = self._load()
                self._seen = seen
            elif seen != self._seen:
                # If a file is half-written, the old credentials are used; `_seen` is not updated, so that the next
                # request tries again.
                with contextlib.suppress(BotoCoreError, OSError):
                    self._newest = self._load() or self._newest
                    self._seen = seen
            newest = self._newest
        if newest is None:
            raise NoCredentialsError
        try:
            return newest.get_frozen_credentials()
        except RuntimeError as error:  # what botocore raises if a renewed credential has expired already
            raise CredentialRetrievalError(provider="renewed credentials", error_msg=str(error)) from error


def _state() -> State:
    paths = (os.environ.get(variable) or usual for variable, usual in _FILES)
    return s3_variables(), tuple(map(_mark, paths))


def _mark(path: str) -> Mark:
    with contextlib.suppress(OSError):
        # `stat` follows links: Kubernetes updates a mounted Secret by changing a link to another folder.
        found = os.stat(os.path.expanduser(path))  # noqa: PTH111, PTH116 before each request, in a third of the time
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None
