"""A store in an S3 bucket: one request per call, exclusive creation by ``If-None-Match``.

`open_store` decides the settings, `s3_clients` makes the clients, `s3_upload` sends large objects in parts, and
`s3_errors` names what goes wrong.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from gozen.archive.stores.range_file import RangedFile
from gozen.archive.stores.s3_access import S3Access
from gozen.archive.stores.s3_clients import BucketClients, connect
from gozen.archive.stores.s3_errors import is_beyond, is_conflict, is_taken, s3_errors, was_repeated
from gozen.archive.stores.s3_upload import SINGLE, Part, field, put
from gozen.archive.stores.store import Store, named_errors
from gozen.errors import BadRequest, MissingObject, StorageUnavailable
from gozen.settings import StorageSettings

_COPY_LIMIT = 5 * 2**30
"""Bytes; the server refuses to copy a larger object in one request."""
_HEAD_BYTES = 256 * 1024
_PAUSE_S = 0.1
_MARK = "gozen-call"
_BROKEN = (HTTPClientError, IncompleteReadError)
"""What breaks off while a body is read: botocore's own attempts end when the headers have come."""

Answer = TypeVar("Answer")


class S3Store(Store):
    """A store in an S3 bucket, shared by threads; a forked or spawned process makes connections of its own.

    Parameters
    ----------
    url
        ``s3://bucket`` or ``s3://bucket/prefix``.
    settings
        How to reach the server.
    """

    def __init__(self, url: str, settings: StorageSettings) -> None:
        super().__init__(url)
        self._settings = settings
        self.bucket, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        if not self.bucket:
            raise BadRequest(f"the archive {url!r} names no bucket: write it as s3://bucket/prefix")
        self.prefix = f"{prefix}/" if prefix else ""
        self._of_process: tuple[int, BucketClients | None] = (0, None)

    def __reduce__(self) -> tuple[object, ...]:
        # Only address and settings reach a worker: sockets cannot be shared, and no key is pickled.
        return S3Store, (self.url, self._settings)

    @property
    def identity(self) -> str:
        """Its address, and how the server is reached."""
        return f"{self.url} {self._settings!r}"

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return self._get(key, _whole)

    def read_into(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        """Return an object's bytes in memory that the caller lends."""

        def fill(answer: dict[str, Any], body: Any) -> memoryview:
            size = int(field(answer, "ContentLength"))
            memory, filled = room(size)[:size], 0
            while filled < size and (count := body.readinto(memory[filled:])):
                filled += count
            # A connection that closes early looks like the end: behind it the lent memory still holds another object.
            if filled < size:
                raise IncompleteReadError(actual_bytes=filled, expected_bytes=size)
            return memory

        return self._get(key, fill)

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` (exclusive) of an object."""
        if stop <= start:
            return b""
        try:
            return self._get(key, _whole, Range=f"bytes={start}-{stop - 1}")
        except StorageUnavailable as error:
            # Bytes behind the end are none, as in a file.
            if isinstance(error.__cause__, ClientError) and is_beyond(error.__cause__):
                return b""
            raise

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return bytes [start, stop) of an object for each range: all requests at once."""
        found = self._connection.ranges.fetch(self._full(key), ranges)
        return found if found is not None else super().read_ranges(key, ranges)

    def write(self, key: str, data: bytes) -> None:
        """Put an object in one atomic step."""
        self._put(key, len(data), lambda start, stop: data[start:stop], {})

    def create(self, key: str, data: bytes) -> bool:
        """Put an object only if the key is free; True for this very call also where the answer to it was lost."""
        return self._create(key, len(data), lambda start, stop: data[start:stop])

    def take(self, key: str, path: Path) -> bool:
        """Make an object of a local file part by part; False when the key holds other bytes."""
        with named_errors(str(path), "read"), path.open("rb") as stream:

            def part(start: int, stop: int) -> bytes:
                # Threads send parts at once, and a repeated creation begins anew: no position is shared.
                return os.pread(stream.fileno(), stop - start, start)

            size = os.fstat(stream.fileno()).st_size
            return self._create(key, size, part) or self._is_same(key, size, part)

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under this key."""
        try:
            self.size(key)
        except MissingObject:
            return False
        return True

    def size(self, key: str) -> int:
        """Return an object's length in bytes."""
        # The answer to HEAD has no room to say what is missing: the object, the bucket or the user.
        try:
            place: str = self._get(key, _place, Range="bytes=0-0")
        except StorageUnavailable as error:
            if isinstance(error.__cause__, ClientError) and is_beyond(error.__cause__):
                return 0  # there is not even a first byte
            raise
        return int(place.rpartition("/")[2])

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix: a request for each thousand."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the lengths of the objects below a prefix by their sorted keys."""
        with s3_errors(self.url_of(prefix), "list"):
            return dict(sorted(self._listed(prefix)))

    def copy(self, key: str, to: str) -> None:
        """Make an object of another one's bytes, within the server where it can."""
        if self.size(key) > _COPY_LIMIT:
            super().copy(key, to)
            return
        source = {"Bucket": self.bucket, "Key": self._full(key)}
        with s3_errors(self.url_of(to), "write"):
            self.client.copy_object(Bucket=self.bucket, Key=self._full(to), CopySource=source)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with s3_errors(self.url_of(key), "delete"):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading; what is read is fetched, a quarter of a megabyte at least."""
        fetch = functools.partial(self.read_range, key)
        return io.BufferedReader(RangedFile(self.size(key), fetch, key.rsplit("/", 1)[-1]), _HEAD_BYTES)

    @property
    def has_tags(self) -> bool:
        """Objects can bear tags."""
        return True

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Give an object these tags in place of those that it has."""
        tagging = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
        with s3_errors(self.url_of(key), "tag"):
            self.client.put_object_tagging(Bucket=self.bucket, Key=self._full(key), Tagging=tagging)

    @property
    def client(self) -> Any:
        """The client of this process, shared by its threads."""
        return self._connection.client

    def access(self) -> S3Access:
        """Return how the bucket is reached now, for a client that is not of ours.

        Raises
        ------
        BadRequest
            There are no keys.
        """
        with s3_errors(self.url, "read"):
            return self._connection.asked.access()

    @property
    def _connection(self) -> BucketClients:
        # Two processes that write to one connection would read each other's answers.
        process, connection = self._of_process
        if connection is None or process != os.getpid():
            connection = connect(self.url, self.bucket, self._settings)
            # Two threads may both come here: each gets clients that work, and the last ones are kept.
            self._of_process = (os.getpid(), connection)
        return connection

    def _full(self, key: str) -> str:
        return self.prefix + key

    def _get(self, key: str, use: Callable[[dict[str, Any], Any], Answer], **request: str) -> Answer:
        """Get an object and use answer and body, from the beginning when the connection breaks on the way."""
        with s3_errors(self.url_of(key), "read"):
            for tries in range(1, self._settings.attempts + 1):
                last = tries == self._settings.attempts
                try:
                    found = self.client.get_object(Bucket=self.bucket, Key=self._full(key), **request)
                except ValueError:  # a header that broke off, such as half a date
                    if last:
                        raise
                    continue
                try:
                    # A body that broke off, or that nobody reads to its end, holds its connection until it is closed.
                    with contextlib.closing(found["Body"]) as body:
                        return use(found, body)
                except _BROKEN:
                    if last:
                        raise
        raise AssertionError("there is at least one attempt")

    def _listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        folder = self._full(f"{prefix}/" if prefix else "")
        request = {"Bucket": self.bucket, "Prefix": folder}
        while True:
            page = self.client.list_objects_v2(**request)
            field(page, "Name")  # else an answer without its end would pass for a short list
            for one in page.get("Contents", ()):
                yield one["Key"].removeprefix(self.prefix), int(one["Size"])
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _create(self, key: str, size: int, part: Part) -> bool:
        # By its mark this call knows its own object again, when a request that had taken effect is made once more.
        mark = {_MARK: secrets.token_hex(8)}
        for tries in range(1, self._settings.attempts + 1):
            try:
                self._put(key, size, part, mark, IfNoneMatch="*")
            except StorageUnavailable as error:
                cause = error.__cause__
                if isinstance(cause, ClientError) and is_taken(cause):
                    return (tries > 1 or was_repeated(cause)) and self._metadata(key).get(_MARK) == mark[_MARK]
                # Two creators at once: S3 may tell both to come again.
                if tries == self._settings.attempts or not (isinstance(cause, ClientError) and is_conflict(cause)):
                    raise
                time.sleep(_PAUSE_S * 2**tries)
            else:
                return True
        raise AssertionError("there is at least one attempt")

    def _metadata(self, key: str) -> Mapping[str, str]:
        def beside(answer: dict[str, Any], body: Any) -> Mapping[str, str]:
            _whole(answer, body)
            return dict(field(answer, "Metadata"))

        return self._get(key, beside)

    def _put(self, key: str, size: int, part: Part, metadata: Mapping[str, str], **condition: str) -> None:
        target = {"Bucket": self.bucket, "Key": self._full(key)}
        with s3_errors(self.url_of(key), "write"):
            put(self.client, target, size, part, condition, metadata)

    def _is_same(self, key: str, size: int, part: Part) -> bool:
        ranges = ((start, min(start + SINGLE, size)) for start in range(0, size, SINGLE))
        return self.size(key) == size and all(self.read_range(key, *one) == part(*one) for one in ranges)


def _place(answer: dict[str, Any], body: Any) -> str:
    """Return which bytes of how many an answer says to have, if it has them: else its headers may have broken off."""
    _whole(answer, body)
    return str(field(answer, "ContentRange"))


def _whole(answer: dict[str, Any], body: Any) -> bytes:
    data = bytes(body.read())
    # An answer that broke off before it gave a length would pass for a short object: `field` refuses it.
    if len(data) < int(field(answer, "ContentLength")):
        raise IncompleteReadError(actual_bytes=len(data), expected_bytes=answer["ContentLength"])
    return data
