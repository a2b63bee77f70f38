"""Reload S3 keys when their source changes, so that they can be rotated without a restart.

Botocore looks once for each client. What changes may be the environment, as in a notebook, or a file: a Kubernetes
Secret that is mounted as a file changes in one step. Keys that expire, of a role or of a machine, botocore renews.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, NoCredentialsError

from gozen.archive.stores.s3_environment import S3Variables, s3_variables

_FILES = (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config"))

Mark = tuple[int, int, int] | None
"""Inode, time and length of a file; None where there is none."""
State = tuple[S3Variables, tuple[Mark, ...]]


class Following:
    """Botocore's component ``credential_provider``.

    Parameters
    ----------
    load
        Goes through all places where keys may stand; returns None where none has any.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def load_credentials(self) -> Credentials:
        """Return credentials that follow what they come from; keys that are made later are found too."""
        return _Followed(self._load)


class _Followed(Credentials):  # type: ignore[misc]  # botocore has no types
    def __init__(self, load: Callable[[], Any]) -> None:
        super().__init__("", "", method="followed")
        self._load, self._lock = load, threading.Lock()
        self._seen: State | None = None
        self._newest: Any = None

    def get_frozen_credentials(self) -> Any:
        """Return the keys of this moment; the last ones, where what is there now cannot be read or is no key.

        Raises
        ------
        NoCredentialsError
            There have been none so far.
        """
        with self._lock:
            # Before the keys are loaded: files that change in between differ at the next request, and are read again.
            seen = _state()
            if self._newest is None:
                self._newest = self._load()
                self._seen = seen
            elif seen != self._seen:
                # A file caught half-written: the old keys serve, and as `_seen` stays old the next request looks again.
                with contextlib.suppress(BotoCoreError, OSError):
                    self._newest = self._load() or self._newest
                    self._seen = seen
            newest = self._newest
        if newest is None:
            raise NoCredentialsError
        return newest.get_frozen_credentials()


def _state() -> State:
    paths = (os.environ.get(variable) or usual for variable, usual in _FILES)
    return s3_variables(), tuple(map(_mark, paths))


def _mark(path: str) -> Mark:
    with contextlib.suppress(OSError):
        # `stat` follows links: Kubernetes changes a mounted Secret by pointing a link at another folder.
        found = os.stat(os.path.expanduser(path))  # noqa: PTH111, PTH116 before each request, in a third of the time
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None
