"""Many ranges of an object at once, by a client that spends a third of botocore's processor time on each.

It makes no second attempt and names no error: whatever goes wrong is left to botocore (`gozen.archive.s3`), so that
there is one place that repeats requests and says what happened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError

from gozen.settings import StorageSettings

if TYPE_CHECKING:
    from obstore.store import S3Credential
    from obstore.store import S3Store as Bucket

_GIVE_UP = 3
"""Failures in a row that end its use: it may, for instance, not know an authority that botocore is told to trust."""

Range = tuple[int, int]
_threads_of: dict[str, int] = {}
"""The process that the client's threads belong to, under ``process``, once there are any."""


@dataclass(frozen=True)
class _Keys:
    access: str
    secret: str
    token: str | None

    def given(self) -> S3Credential:
        """Return them as the client asks for them."""
        return {
            "access_key_id": self.access,
            "secret_access_key": self.secret,
            "token": self.token,
            "expires_at": None,
        }


class RangeClient:
    """Fetches ranges of the objects of a bucket; threads share it.

    Parameters
    ----------
    client
        Botocore's, whose address and region it takes.
    credentials
        Says which keys are used now.
    """

    def __init__(self, client: Any, credentials: Callable[[], Any], bucket: str, settings: StorageSettings) -> None:
        self._client, self._credentials, self._bucket, self._settings = client, credentials, bucket, settings
        self._of: tuple[_Keys, Bucket] | None = None
        self._lock = threading.Lock()
        self._failures = 0

    def fetch(self, path: str, ranges: Sequence[Range]) -> list[memoryview] | None:
        """Return bytes [start, stop) of an object for each range; None where it could not get all of them."""
        # Its threads do not live on in a process that was forked from one that had them.
        if self._failures >= _GIVE_UP or _threads_of.setdefault("process", os.getpid()) != os.getpid():
            return None
        try:
            import obstore
        except ImportError:
            return None  # the image of the operator has no need of it
        starts, stops = [one[0] for one in ranges], [one[1] for one in ranges]
        try:
            opened = self._opened()
            if opened is None:
                return None
            found = obstore.get_ranges(opened, path, starts=starts, ends=stops, coalesce=0)
        except (obstore.exceptions.BaseError, BotoCoreError, OSError, ValueError):
            self._failures += 1
            return None
        parts = [memoryview(one) for one in found]
        if any(len(part) != stop - start for part, (start, stop) in zip(parts, ranges, strict=True)):
            return None  # it was cut short in the meantime
        self._failures = 0
        return parts

    def _opened(self) -> Bucket | None:
        """Return a client with the keys of this moment; None where there are none."""
        current = self._credentials()
        if current is None:
            return None
        frozen = current.get_frozen_credentials()
        keys = _Keys(frozen.access_key, frozen.secret_key, frozen.token)
        with self._lock:
            if self._of is None or self._of[0] != keys:
                self._of = keys, self._connected(keys)
            return self._of[1]

    def _connected(self, keys: _Keys) -> Bucket:
        from obstore.store import S3Store as Bucket

        address = urlsplit(self._client.generate_presigned_url("get_object", {"Bucket": self._bucket, "Key": "a"}))
        settings = self._settings
        return Bucket(
            self._bucket,
            endpoint=f"{address.scheme}://{address.netloc}",
            virtual_hosted_style_request=not address.path.startswith(f"/{self._bucket}/"),
            region=self._client.meta.region_name,
            credential_provider=keys.given,
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=settings.read_timeout_s)},
            client_options={
                "allow_http": address.scheme == "http",
                "connect_timeout": timedelta(seconds=settings.connect_timeout_s),
                "timeout": timedelta(seconds=settings.read_timeout_s),
                "user_agent": "gozen",
            },
        )
