"""A store in an S3 bucket: one request per call, exclusive creation by ``If-None-Match``.

`open_store` passes the settings, `s3_clients` makes the clients, `s3_upload` sends large objects in parts, and
`s3_errors` turns errors into Gozen's.
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
"""Size in bytes of the largest object that the server copies in one request."""
_HEAD_BYTES = 256 * 1024
_PAUSE_S = 0.1
_MARK = "gozen-call"
_BROKEN = (HTTPClientError, IncompleteReadError)
"""Errors while a body is read; botocore retries only until the headers have arrived."""

Answer = TypeVar("Answer")


class S3Store(Store):
    """A store in an S3 bucket; threads may share it, and a forked or spawned process makes new connections.

    Parameters
    ----------
    url
        ``s3://bucket`` or ``s3://bucket/prefix``.
    settings
        Address, region and other settings of the server.
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
        # A worker gets only URL and settings: connections cannot be shared, and credentials must not be pickled.
        return S3Store, (self.url, self._settings)

    @property
    def identity(self) -> str:
        """A text that is the same for stores with the same URL and settings."""
        return f"{self.url} {self._settings!r}"

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return self._get(key, _whole)

    def read_into(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        """Read an object into memory of the caller."""

        def fill(answer: dict[str, Any], body: Any) -> memoryview:
            size = int(field(answer, "ContentLength"))
            memory, filled = room(size)[:size], 0
            while filled < size and (count := body.readinto(memory[filled:])):
                filled += count
            # A connection that closes early looks like the end of the body; the rest of the memory has old content.
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
            # A range after the end has no bytes, as in a file.
            if isinstance(error.__cause__, ClientError) and is_beyond(error.__cause__):
                return b""
            raise

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return bytes [start, stop) of an object for each range; the requests are sent in parallel."""
        found = self._connection.ranges.fetch(self._full(key), ranges)
        return found if found is not None else super().read_ranges(key, ranges)

    def write(self, key: str, data: bytes) -> None:
        """Write an object atomically; replace an older one."""
        self._put(key, len(data), lambda start, stop: data[start:stop], {})

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if the key is free; return whether this call wrote it, also if the answer was lost."""
        return self._create(key, len(data), lambda start, stop: data[start:stop])

    def take(self, key: str, path: Path) -> bool:
        """Add a local file as an object; return False if the key has other bytes."""
        with named_errors(str(path), "read"), path.open("rb") as stream:

            def part(start: int, stop: int) -> bytes:
                # Threads send parts at the same time, and a retry starts again: they must not share a position.
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
        # Not HEAD: its answer has no body, so it does not say whether the object, the bucket or the user is missing.
        try:
            place: str = self._get(key, _place, Range="bytes=0-0")
        except StorageUnavailable as error:
            if isinstance(error.__cause__, ClientError) and is_beyond(error.__cause__):
                return 0  # the object is empty: it has no first byte
            raise
        return int(place.rpartition("/")[2])

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix; each request returns up to a thousand."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the length in bytes of each object below a prefix, by key, sorted by key."""
        with s3_errors(self.url_of(prefix), "list"):
            return dict(sorted(self._listed(prefix)))

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders directly below a prefix; the server leaves out what is in them."""
        folder = self._full(f"{prefix}/" if prefix else "")
        with s3_errors(self.url_of(prefix), "list"):
            found = [
                one["Prefix"] for page in self._pages(folder, Delimiter="/") for one in page.get("CommonPrefixes", ())
            ]
        return tuple(sorted(name.removeprefix(folder).removesuffix("/") for name in found))

    def copy(self, key: str, to: str) -> None:
        """Copy an object; the server copies objects up to 5 GiB itself."""
        if self.size(key) > _COPY_LIMIT:
            super().copy(key, to)
            return
        source = {"Bucket": self.bucket, "Key": self._full(key)}
        with s3_errors(self.url_of(to), "write"):
            self.client.copy_object(Bucket=self.bucket, Key=self._full(to), CopySource=source)

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is not an error."""
        with s3_errors(self.url_of(key), "delete"):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading; each request fetches at least 256 KiB."""
        fetch = functools.partial(self.read_range, key)
        return io.BufferedReader(RangedFile(self.size(key), fetch, key.rsplit("/", 1)[-1]), _HEAD_BYTES)

    @property
    def has_tags(self) -> bool:
        """True: objects on S3 can have tags."""
        return True

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of an object."""
        tagging = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
        with s3_errors(self.url_of(key), "tag"):
            self.client.put_object_tagging(Bucket=self.bucket, Key=self._full(key), Tagging=tagging)

    @property
    def client(self) -> Any:
        """The client of this process, shared by its threads."""
        return self._connection.client

    def access(self) -> S3Access:
        """Return how to reach the bucket now, for clients of other libraries.

        Raises
        ------
        BadRequest
            There are no credentials.
        """
        with s3_errors(self.url, "read"):
            return self._connection.asked.access()

    @property
    def _connection(self) -> BucketClients:
        # Processes must not share a connection: they would read each other's answers.
        process, connection = self._of_process
        if connection is None or process != os.getpid():
            connection = connect(self.url, self.bucket, self._settings)
            # Two threads may both come here: each gets working clients, and the last ones are kept.
            self._of_process = (os.getpid(), connection)
        return connection

    def _full(self, key: str) -> str:
        return self.prefix + key

    def _get(self, key: str, use: Callable[[dict[str, Any], Any], Answer], **request: str) -> Answer:
        """Get an object and pass answer and body to ``use``; start again if the connection breaks."""
        with s3_errors(self.url_of(key), "read"):
            for tries in range(1, self._settings.attempts + 1):
                last = tries == self._settings.attempts
                try:
                    found = self.client.get_object(Bucket=self.bucket, Key=self._full(key), **request)
                except ValueError:  # an incomplete header, such as half a date
                    if last:
                        raise
                    continue
                try:
                    # A body that is not read to its end keeps its connection until it is closed.
                    with contextlib.closing(found["Body"]) as body:
                        return use(found, body)
                except _BROKEN:
                    if last:
                        raise
        raise AssertionError("there is at least one attempt")

    def _listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        for page in self._pages(self._full(f"{prefix}/" if prefix else "")):
            for one in page.get("Contents", ()):
                yield one["Key"].removeprefix(self.prefix), int(one["Size"])

    def _pages(self, folder: str, **more: str) -> Iterator[dict[str, Any]]:
        request = {"Bucket": self.bucket, "Prefix": folder, **more}
        while True:
            page = self.client.list_objects_v2(**request)
            field(page, "Name")  # otherwise an incomplete answer would pass for a short list
            yield page
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _create(self, key: str, size: int, part: Part) -> bool:
        # The mark shows whether an existing object is from an earlier attempt of this call whose answer was lost.
        mark = {_MARK: secrets.token_hex(8)}
        for tries in range(1, self._settings.attempts + 1):
            try:
                self._put(key, size, part, mark, IfNoneMatch="*")
            except StorageUnavailable as error:
                cause = error.__cause__
                if isinstance(cause, ClientError) and is_taken(cause):
                    return (tries > 1 or was_repeated(cause)) and self._metadata(key).get(_MARK) == mark[_MARK]
                # If two processes create the object at the same time, S3 may refuse both: try again.
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
    """Return the ``Content-Range`` of an answer; raise if body or headers are incomplete."""
    _whole(answer, body)
    return str(field(answer, "ContentRange"))


def _whole(answer: dict[str, Any], body: Any) -> bytes:
    data = bytes(body.read())
    # `field` raises if there is no length: an answer that broke off in its headers would pass for a short object.
    if len(data) < int(field(answer, "ContentLength")):
        raise IncompleteReadError(actual_bytes=len(data), expected_bytes=answer["ContentLength"])
    return data
