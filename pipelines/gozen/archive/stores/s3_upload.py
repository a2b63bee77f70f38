"""Upload one object to S3, in one request or in parts; nothing is visible before the last request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from gozen.archive.stores.range_file import RangedFile

PART = 16 * 2**20
"""Bytes of a part of a large object; S3 takes 10,000 of at least 5 MiB."""
SINGLE = 4 * PART
"""Bytes up to which an object is put in one request."""
_AT_ONCE = 4
"""Parts under way together; their memory is that of an object of `SINGLE` bytes."""
_LIMIT = 5 * 2**30
"""Bytes of the largest object that S3 takes in one request."""

log = logging.getLogger(__name__)
Part = Callable[[int, int], bytes]
"""Returns bytes ``start`` to ``stop`` of what is to be put."""


def put(
    client: Any,
    target: Mapping[str, str],
    size: int,
    part: Part,
    condition: Mapping[str, str],
    metadata: Mapping[str, str],
) -> None:
    """Put an object; errors are botocore's.

    Parameters
    ----------
    target
        ``Bucket`` and ``Key``.
    metadata
        Stands beside the object.
    condition
        ``IfNoneMatch``, or nothing; it holds for the request that makes the object. Ceph 16 does not look
        at it where parts are put together, so what has a condition goes in one request as far as S3 allows.
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
        # S3 begins its answer with 200 before it knows: one that broke off says nothing, and counts as a failure.
        field(client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **condition), "ETag")
    except BaseException:
        # Ctrl-C too: parts that nobody puts together are invisible, but take room and are paid for.
        _forget(client, upload)
        raise


def field(answer: Mapping[str, Any], name: str) -> Any:
    """Return what every whole answer has; one without it broke off among its headers or before its body.

    Raises
    ------
    IncompleteReadError
        It is not there.
    """
    if name not in answer:
        raise IncompleteReadError(actual_bytes=0, expected_bytes=name)
    return answer[name]


def _forget(client: Any, upload: Mapping[str, str]) -> None:
    try:
        client.abort_multipart_upload(**upload)
    except (BotoCoreError, ClientError) as error:
        log.debug("the parts of an upload stay until the bucket's life cycle removes them", exc_info=error)
