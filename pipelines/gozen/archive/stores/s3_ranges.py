"""Fetch many byte ranges of an object at once, with a client that needs a third of botocore's processor time.

This client does not retry and raises no errors. If it fails, the caller (`s3_store`) reads with botocore, so that
retries and errors are handled in one place.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from gozen.archive.stores.s3_access import BucketAccess, Keys, S3Access
from gozen.settings import StorageSettings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential
    from obstore.store import S3Store as Bucket

GIVE_UP = 3
"""Consecutive failures before the client pauses: it may not reach a server that botocore reaches by a proxy."""
REST_S = 60.0

Range = tuple[int, int]
Clock = Callable[[], float]
_threads_of: dict[str, int] = {}
"""Under ``process``: id of the process in which the client has started its threads."""


class Breaker:
    """A circuit breaker: after `GIVE_UP` consecutive failures a client pauses for `REST_S` seconds, then is tried once.

    Parameters
    ----------
    clock
        A monotonic clock, seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0
        self._lock = threading.Lock()

    def lets_through(self) -> bool:
        """Tell whether this thread may use the client now.

        After each pause, only one thread may try; the others wait for the next pause, or until it succeeds.
        """
        with self._lock:
            if self._failures < GIVE_UP:
                return True
            now = self._clock()
            if now < self._rests_until:
                return False
            # Before the one attempt, so that a server that does not answer blocks one thread, not all.
            self._rests_until = now + REST_S
            return True

    def failed(self) -> None:
        """Count a failure."""
        with self._lock:
            self._failures += 1
            self._rests_until = self._clock() + REST_S

    def went_well(self) -> None:
        """Record a success: the count of failures begins again at 0."""
        with self._lock:
            self._failures = 0


class RangeClient:
    """Fetches byte ranges of the objects in a bucket; threads may share it.

    Parameters
    ----------
    asked
        Gives the address, region and credentials of the bucket.
    clock
        A monotonic clock, seconds.
    """

    def __init__(
        self, asked: BucketAccess, bucket: str, settings: StorageSettings, clock: Clock = time.monotonic
    ) -> None:
        self._asked, self._bucket, self._settings = asked, bucket, settings
        self._of: tuple[Keys, Bucket] | None = None
        self._lock = threading.Lock()
        self._breaker = Breaker(clock)

    def fetch(self, path: str, ranges: Sequence[Range]) -> list[memoryview] | None:
        """Return bytes [start, stop) of an object for each range; None if one of them could not be fetched."""
        # The client's threads do not exist in a process that was forked from the one that started them.
        if _threads_of.setdefault("process", os.getpid()) != os.getpid():
            return None
        try:
            import obstore
        except ImportError:
            return None  # the operator's image does not contain it
        if not self._breaker.lets_through():
            return None
        starts, stops = [one[0] for one in ranges], [one[1] for one in ranges]
        try:
            found = obstore.get_ranges(self._opened(), path, starts=starts, ends=stops, coalesce=0)
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            self._breaker.went_well()  # the server answered; botocore will report the missing object
            return None
        except (obstore.exceptions.BaseError, BotoCoreError, OSError, ValueError):
            self._breaker.failed()
            with self._lock:
                self._of = None  # the next attempt makes a new client: botocore may have been redirected meanwhile
            return None
        self._breaker.went_well()
        parts = [memoryview(one) for one in found]
        if any(len(part) != stop - start for part, (start, stop) in zip(parts, ranges, strict=True)):
            return None  # the object was replaced by a shorter one meanwhile
        return parts

    def _opened(self) -> Bucket:
        """Return a client with the current credentials."""
        keys = self._asked.keys()
        with self._lock:
            if self._of is None or self._of[0] != keys:
                self._of = keys, self._connected(self._asked.access())
            return self._of[1]

    def _connected(self, access: S3Access) -> Bucket:
        from obstore.store import S3Store as Bucket

        settings, scheme = self._settings, "https" if access.tls else "http"
        options: ClientConfig = {
            "allow_http": not access.tls,
            "connect_timeout": timedelta(seconds=settings.connect_timeout_s),
            "timeout": timedelta(seconds=settings.read_timeout_s),
            "user_agent": "gozen",
        }
        if access.authorities:  # added to those of the system, whereas botocore trusts only these
            options["root_certificate"] = Path(access.authorities).read_bytes()
        return Bucket(
            self._bucket,
            endpoint=f"{scheme}://{access.host if access.in_path else f'{self._bucket}.{access.host}'}",
            virtual_hosted_style_request=not access.in_path,
            region=access.region,
            credential_provider=lambda: _given(access.keys),
            # No retries here, because botocore repeats a failed request with its own retries.
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=settings.read_timeout_s)},
            client_options=options,
        )


def _given(keys: Keys) -> S3Credential:
    return {"access_key_id": keys.key, "secret_access_key": keys.secret, "token": keys.token, "expires_at": None}
