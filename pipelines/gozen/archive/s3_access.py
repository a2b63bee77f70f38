"""How an S3 server is reached, and with which keys: one answer for every client, asked for again where keys change."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gozen.archive.interface import Store
from gozen.archive.s3 import S3Store
from gozen.archive.s3_errors import s3_errors


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
        Of the bucket.
    key, secret, token
        Credentials of this moment.
    """

    host: str
    tls: bool
    in_path: bool
    region: str
    key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def access_to(store: Store) -> S3Access:
    """Return how the bucket of an archive is reached now: botocore decides, as for every request of its own.

    Raises
    ------
    StorageUnavailable
        There are no keys.
    """
    assert isinstance(store, S3Store), f"{store.url} is in no bucket"
    with s3_errors(store.url, "read"):
        url = urlsplit(store.client.generate_presigned_url("head_bucket", {"Bucket": store.bucket}))
        keys = store.credentials().get_frozen_credentials()
    in_path = url.path.startswith(f"/{store.bucket}")
    return S3Access(
        host=url.netloc if in_path else url.netloc.removeprefix(f"{store.bucket}."),
        tls=url.scheme == "https",
        in_path=in_path,
        region=store.client.meta.region_name.replace("aws-global", "us-east-1"),
        key=keys.access_key,
        secret=keys.secret_key,
        token=keys.token,
    )
