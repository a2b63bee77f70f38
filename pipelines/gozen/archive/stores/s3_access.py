"""The server, region and current credentials of a bucket, the same for every S3 client of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import NoCredentialsError


@dataclass(frozen=True)
class Keys:
    """S3 credentials that belong together."""

    key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class S3Access:
    """Everything that a client needs to reach a bucket.

    Parameters
    ----------
    host
        Host name of the server, with its port.
    tls
        Whether the server is reached by https.
    in_path
        Whether the name of the bucket is in the path (path style), not in the host name (virtual-hosted style).
    region
        Region for which requests are signed.
    keys
        Current credentials.
    authorities
        File with the CA certificates to trust; None for the system's certificates.
    """

    host: str
    tls: bool
    in_path: bool
    region: str
    keys: Keys
    authorities: str | None = None


class BucketAccess:
    """Finds how botocore reaches a bucket now, so that other clients reach it in the same way.

    Parameters
    ----------
    client
        S3 client of botocore.
    credentials
        Returns botocore's credentials; None if there are none.
    bucket
        Name of the bucket.
    authorities
        File with the CA certificates to trust, as in `S3Access`.
    """

    def __init__(
        self, client: Any, credentials: Callable[[], Any], bucket: str, authorities: str | None = None
    ) -> None:
        self._client, self._credentials, self._bucket = client, credentials, bucket
        self._authorities = authorities
        self._thread = threading.local()
        client.meta.events.register("before-send.s3.HeadBucket", self._hold)

    def keys(self) -> Keys:
        """Return the current credentials; raise `NoCredentialsError` if no source has any."""
        current = self._credentials()
        if current is None:
            raise NoCredentialsError
        frozen = current.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def access(self) -> S3Access:
        """Return how to reach the bucket; if the server has redirected botocore to another region, with that region."""
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
        """Return a request that botocore has signed but not sent. A presigned URL could have another host."""
        self._thread.holds = True
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except _HeldError as held:
            return held.request
        finally:
            self._thread.holds = False
        raise AssertionError("the request was sent although it should only be signed")

    def _hold(self, request: Any, **_: Any) -> None:
        if getattr(self._thread, "holds", False):
            raise _HeldError(request)


class _HeldError(Exception):
    def __init__(self, request: Any) -> None:
        super().__init__("not sent")
        self.request = request
