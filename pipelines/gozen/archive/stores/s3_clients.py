"""Make the S3 clients of a process, all with the same server, region and credentials."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from gozen.archive.stores.s3_access import BucketAccess
from gozen.archive.stores.s3_credentials import Following
from gozen.archive.stores.s3_environment import region_of
from gozen.archive.stores.s3_errors import s3_errors
from gozen.archive.stores.s3_ranges import RangeClient
from gozen.errors import BadRequest
from gozen.settings import StorageSettings


@dataclass(frozen=True)
class BucketClients:
    """The S3 clients of one process; processes must not share them."""

    client: Any
    ranges: RangeClient
    asked: BucketAccess


def connect(url: str, bucket: str, settings: StorageSettings) -> BucketClients:
    """Make the clients of a bucket; no request is sent yet.

    Raises
    ------
    BadRequest
        A setting, or an AWS configuration file, is not valid.
    """
    config = Config(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        s3={"addressing_style": settings.addressing},
        # Servers other than Amazon's may not support the newer checksums; TLS or the signature protects the content.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="gozen",
    )
    with s3_errors(url, "open"):
        try:
            session = _session()
            session.register_component("credential_provider", Following(lambda: _session().get_credentials()))
            region = region_of(settings.region, os.environ, session.get_scoped_config().get("region"))
            client = session.create_client("s3", region_name=region, endpoint_url=settings.endpoint_url, config=config)
            asked = BucketAccess(client, session.get_credentials, bucket, _authorities(session))
            return BucketClients(client, RangeClient(asked, bucket, settings), asked)
        except ValueError as error:
            raise BadRequest(f"cannot open {url}: {error}; check storage.endpoint_url and storage.region") from error


def _authorities(session: Session) -> str | None:
    """Return the file of CA certificates that botocore uses by its own rules; None for the system's file."""
    return session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or None


def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _loader())
    return session


@functools.cache
def _loader() -> Loader:
    """Return a cached loader of botocore's S3 description; it loads in 0.1 s, and from the cache in 0.01 s."""
    return create_loader()
