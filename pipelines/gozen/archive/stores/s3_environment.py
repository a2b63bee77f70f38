"""Environment variables for S3 credentials, certificates and region, and the precedence of the region. No I/O."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CA_BUNDLE",
)
"""Environment variables that decide which credentials are used and which certificates are trusted."""

S3Variables = tuple[str | None, ...]
"""Values of `VARIABLES`, in the same order; None for one that is not set."""


def s3_variables(environment: Mapping[str, str] = os.environ) -> S3Variables:
    """Return the current values of `VARIABLES`."""
    return tuple(environment.get(name) for name in VARIABLES)


def set_s3_variables(values: S3Variables, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set `VARIABLES` to the values of another process, because a worker keeps the environment of its start."""
    for name, value in zip(VARIABLES, values, strict=True):
        if value is None:
            environment.pop(name, None)
        elif environment.get(name) != value:
            environment[name] = value


def region_of(setting: str | None, environment: Mapping[str, str], configured: str | None) -> str | None:
    """Return the region of the bucket, in the order of precedence of Amazon's newer clients.

    Parameters
    ----------
    setting
        ``storage.region``.
    environment
        Environment with ``AWS_REGION`` and ``AWS_DEFAULT_REGION``; botocore itself reads only the second.
    configured
        Region of the profile in the file ``AWS_CONFIG_FILE``.

    Returns
    -------
    str or None
        None if no region is set; an empty text counts as not set.
    """
    return setting or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or configured or None
