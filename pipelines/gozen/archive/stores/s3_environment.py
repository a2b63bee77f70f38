"""Environment variables that name S3 keys and region, and their precedence. No client."""

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
"""Those that decide which keys are used, and whose certificates are trusted."""

S3Variables = tuple[str | None, ...]
"""Their values, None where one is not set."""


def s3_variables(environment: Mapping[str, str] = os.environ) -> S3Variables:
    """Return what the variables are now."""
    return tuple(environment.get(name) for name in VARIABLES)


def set_s3_variables(values: S3Variables, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables as another process has them: a worker keeps the environment that it was started with."""
    for name, value in zip(VARIABLES, values, strict=True):
        if value is None:
            environment.pop(name, None)
        elif environment.get(name) != value:
            environment[name] = value


def region_of(setting: str | None, environment: Mapping[str, str], configured: str | None) -> str | None:
    """Return the region of the bucket: what is said first, in the order of Amazon's newer clients.

    Parameters
    ----------
    setting
        ``storage.region``.
    environment
        Has ``AWS_REGION`` and ``AWS_DEFAULT_REGION``, of which botocore knows the second only.
    configured
        What the file of ``AWS_CONFIG_FILE`` says for the profile.

    Returns
    -------
    str or None
        None where nothing is said; empty text says nothing.
    """
    return setting or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or configured or None
