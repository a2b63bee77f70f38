"""Upload one object to S3, in one request or in parts; readers see nothing before the last request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from gozen.archive.stores.range_file import RangedFile

PART = 16 * 2**20
"""Size of a part of a large object, bytes; S3 accepts up to 10,000 parts of at least 5 MiB."""
SINGLE = 4 * PART
"""Size of the largest object that is sent in one request, bytes."""
_AT_ONCE = 4
"""Parts that are sent at the same time; together they need as much memory as an object of `SINGLE` bytes."""
_LIMIT = 5 * 2**30
"""Size of the largest object that S3 accepts in one request, bytes."""

log = logging.getLogger(__name__)
Part = Callable[[int, int], bytes]
"""A function of ``start`` and ``stop`` that returns these bytes of the new object; ``stop`` is exclusive."""


def put(
    client: Any,
    target: Mapping[str, str],
    size: int,
    part: Part,
    condition: Mapping[str, str],
    metadata: Mapping[str, str],
) -> None:
    """Write an object; raises errors of botocore.

    Parameters
    ----------
    target
        ``Bucket`` and ``Key``.
    size
        Size of the object, bytes.
    part
        Returns a range of its bytes.
    condition
        ``IfNoneMatch``, or empty. Ceph 16 ignores it for uploads in parts, so an object with a condition is sent in one
        request unless it is larger than S3 allows for one request.
    metadata
        S3 metadata to store with the object.
    """
    if size <= SINGLE:
        client.put_object(Body=part(0, size), Metadata=metadata, **target, **condition)
        return
    if condition and size <= _LIMIT:
        client.put_object(Body=RangedFile(size, part), Metadata=metadata, **target, **condition)
        return
    upload = {**target, "UploadId": field(client.create_multipart_upload(Metadata=metadata, **target), "UploadId")}

    def send(number: int) -> dict[str, Any]:
        body = part((number - 1) * PART, min(number * PART, size))
        answer = client.upload_part(Body=body, PartNumber=number, **upload)
        return {"PartNumber": number, "ETag": field(answer, "ETag")}

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            parts = list(pool.map(send, range(1, -(-size // PART) + 1)))
        # S3 starts its answer with status 200 before the parts are joined: an incomplete answer counts as a failure.
        field(client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **condition), "ETag")
    except BaseException:
        # Also on Ctrl-C: parts that are never joined are invisible, but they use space and cost money.
        _forget(client, upload)
        raise


def field(answer: Mapping[str, Any], name: str) -> Any:
    """Return a field that every complete answer has.

    Raises
    ------
    IncompleteReadError
        The field is missing: the connection broke in the headers or before the body.
    """
    if name not in answer:
        raise IncompleteReadError(actual_bytes=0, expected_bytes=name)
    return answer[name]


def _forget(client: Any, upload: Mapping[str, str]) -> None:
    try:
        client.abort_multipart_upload(**upload)
    except (BotoCoreError, ClientError) as error:
        log.debug(
            "the parts of an unfinished upload remain until the bucket's lifecycle rule removes them", exc_info=error
        )
