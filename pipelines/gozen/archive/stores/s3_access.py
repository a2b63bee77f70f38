"""Server, region and current keys of a bucket, the same for every S3 client of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import NoCredentialsError


@dataclass(frozen=True)
class Keys:
    """Credentials of one moment."""

    key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class S3Access:
    """What a client needs.

    Parameters
    ----------
    host
        With its port.
    tls
        Whether it is asked by https.
    in_path
        Whether the bucket's name stands in the path, not before the host's name.
    region
        That requests are signed for.
    keys
        Of this moment.
    authorities
        File of the certificates of the authorities to trust; None where those of the system are.
    """

    host: str
    tls: bool
    in_path: bool
    region: str
    keys: Keys
    authorities: str | None = None


class BucketAccess:
    """Asks botocore how it reaches a bucket now: what holds for its own requests holds for all clients.

    Parameters
    ----------
    client
        Botocore's.
    credentials
        Returns what says which keys are used now; None where there are none.
    bucket
        Its name.
    authorities
        As `S3Access` has them.
    """

    def __init__(
        self, client: Any, credentials: Callable[[], Any], bucket: str, authorities: str | None = None
    ) -> None:
        self._client, self._credentials, self._bucket = client, credentials, bucket
        self._authorities = authorities
        self._thread = threading.local()
        client.meta.events.register("before-send.s3.HeadBucket", self._hold)

    def keys(self) -> Keys:
        """Return the keys of this moment; `NoCredentialsError` where there are none."""
        current = self._credentials()
        if current is None:
            raise NoCredentialsError
        frozen = current.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def access(self) -> S3Access:
        """Return all of it; the region is the one to which a server has sent botocore, if one has."""
        request = self._signed()
        url = urlsplit(request.url)
        in_path = url.path.startswith(f"/{self._bucket}")
        signed = request.headers["Authorization"]
        signed = signed.decode() if isinstance(signed, bytes) else signed
        # AWS4-HMAC-SHA256 Credential=key/date/region/s3/aws4_request, ...
        region = signed.partition("Credential=")[2].partition(",")[0].split("/")[-3]
        return S3Access(
            host=url.netloc if in_path else url.netloc.removeprefix(f"{self._bucket}."),
            tls=url.scheme == "https",
            in_path=in_path,
            region=region,
            keys=self.keys(),
            authorities=self._authorities,
        )

    def _signed(self) -> Any:
        """Return a request as botocore would send it. A presigned URL would name another host of Amazon's."""
        self._thread.holds = True
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except _HeldError as held:
            return held.request
        finally:
            self._thread.holds = False
        raise AssertionError("the request is never sent")

    def _hold(self, request: Any, **_: Any) -> None:
        if getattr(self._thread, "holds", False):
            raise _HeldError(request)


class _HeldError(Exception):
    def __init__(self, request: Any) -> None:
        super().__init__("not sent")
        self.request = request
