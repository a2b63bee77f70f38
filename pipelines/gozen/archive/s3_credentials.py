"""Credentials that stand in a file are read again when the file changes: keys are rotated without a restart.

Botocore reads the file once for each client. A Kubernetes Secret that is mounted as a file changes in one step.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.credentials import CredentialProvider, Credentials, SharedCredentialProvider
from botocore.exceptions import BotoCoreError
from botocore.session import Session

Mark = tuple[int, int, int] | None
"""Inode, time and length of a file; None where there is none."""


def follow_file(session: Session) -> None:
    """Let a session's credentials follow the file that they come from, if they come from one."""
    path = Path(session.get_config_variable("credentials_file")).expanduser()
    shared = SharedCredentialProvider(str(path), session.get_config_variable("profile") or "default")
    resolver = session.get_component("credential_provider")
    resolver.insert_before(SharedCredentialProvider.METHOD, _Provider(path, shared.load))


class _Provider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    METHOD = "followed-credentials-file"

    def __init__(self, path: Path, load: Callable[[], Any]) -> None:
        super().__init__()
        self._path, self._load = path, load

    def load(self) -> Any:
        """Return the credentials, or None where the file has none."""
        found = _Followed(self._path, self._load)
        return found if found.access_key else None


class _Followed(Credentials):  # type: ignore[misc]  # botocore has no types
    def __init__(self, path: Path, load: Callable[[], Any]) -> None:
        self._path, self._load, self._lock = path, load, threading.Lock()
        self._seen = _mark(path)
        self._newest = load()
        newest = self._newest
        super().__init__(
            newest and newest.access_key, newest and newest.secret_key, newest and newest.token, _Provider.METHOD
        )

    def get_frozen_credentials(self) -> Any:
        """Return what the file says now; what it said last, where it cannot be read at this moment."""
        with self._lock:
            seen = _mark(self._path)
            if seen != self._seen:
                with contextlib.suppress(BotoCoreError, OSError):
                    self._newest = self._load() or self._newest
                    self._seen = seen
            return self._newest.get_frozen_credentials()


def _mark(path: Path) -> Mark:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None
