"""Get credentials: static keys from files, or short-lived ones for each user from STS."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from gozen.archive.access_levels import LEVELS, Level, session_policy
from gozen.archive.stores.s3_access import Keys
from gozen.errors import BadRequest, StorageUnavailable
from gozen_hub.access_settings import CredentialSettings, RoleSettings
from gozen_hub.credentials.due import UserNamespace
from gozen_hub.credentials.user_secret import FILE, Issued, read_credentials
from gozen_hub.hub_settings import HubSettings

_AGAIN_S = 7200.0
"""Life of a static key: its Secret is written again after half of this time, in case somebody has changed it."""
_LONGEST_SESSION_NAME = 64
_TIMEOUT_S = 10


class KeySource(Protocol):
    """Makes credentials."""

    def marks(self) -> dict[Level, str]:
        """Return for each access level a text that changes when the credentials must be made again."""

    def issue(self, namespace: UserNamespace, level: Level) -> Issued:
        """Return new credentials for a user.

        Raises
        ------
        BadRequest, StorageUnavailable
            No credentials can be made; the message says why.
        """


class StaticKeys:
    """One key for each access level, in the files ``members/credentials`` and ``others/credentials`` of a folder.

    The files are mounted Secrets; the kubelet updates the files when a key is rotated.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def marks(self) -> dict[Level, str]:
        """Return digests of the files; empty for one that cannot be read."""
        return {level: _digest(self._folder / level / FILE) for level in LEVELS}

    def issue(self, namespace: UserNamespace, level: Level) -> Issued:
        """Return the key of the user's access level."""
        path = self._folder / level / FILE
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(
                f"{path}: the credentials for {level} cannot be read: {error}; check that the Secret that the chart "
                f"value hub.credentials.{level}SecretName names exists, and has an entry {FILE!r}"
            ) from error
        return Issued(read_credentials(text, str(path)), _AGAIN_S)


class AssumedRoles:
    """Short-lived credentials by ``AssumeRole``, with the session policy of the user's access level.

    Parameters
    ----------
    client
        STS client of botocore.
    policies
        Session policy of each level.
    """

    def __init__(self, client: Any, roles: RoleSettings, policies: Mapping[Level, str], lifetime_s: int) -> None:
        self._client, self._roles, self._policies, self._lifetime_s = client, roles, policies, lifetime_s

    def marks(self) -> dict[Level, str]:
        """Return texts that never change: roles and policies are read once, at the start."""
        return dict.fromkeys(LEVELS, "")

    def issue(self, namespace: UserNamespace, level: Level) -> Issued:
        """Assume the role of the level; the session has the name of the namespace, for the log of the store."""
        role = getattr(self._roles, level)
        try:
            answer = self._client.assume_role(
                RoleArn=role,
                RoleSessionName=namespace.name[:_LONGEST_SESSION_NAME],
                Policy=self._policies[level],
                DurationSeconds=self._lifetime_s,
            )
            found = answer["Credentials"]
            expires = found["Expiration"]
            valid_s = expires.timestamp() - time.time()
            keys = Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        except (ClientError, BotoCoreError, KeyError, ValueError) as error:
            raise StorageUnavailable(
                f"STS gave no credentials for the user {namespace.user} with the role {role}: {error}; check the role, "
                "its trust policy, and hub.settings.credentials.lifetime_s"
            ) from error
        # If the clock of the server is slow, its time of expiry may be in the past. Such a time is not used.
        return Issued(keys, min(valid_s, self._lifetime_s) if valid_s > 0 else self._lifetime_s, expires)


def key_source(settings: HubSettings, environment: Mapping[str, str] = os.environ) -> KeySource:
    """Return the source that the settings name.

    Raises
    ------
    BadRequest
        The method is ``none``, or the archive is not in a bucket.
    """
    bucket, prefix = _bucket(settings.archive.url)
    chosen = settings.credentials
    if chosen.method == "static":
        return StaticKeys(chosen.keys)
    if chosen.roles is None:
        raise BadRequest("there are no credentials to renew, because credentials.method is 'none'; write static or sts")
    policies = {level: session_policy(level, bucket, prefix) for level in LEVELS}
    client = _sts(chosen, {**settings.archive.environment, **environment})
    return AssumedRoles(client, chosen.roles, policies, chosen.lifetime_s)


def _sts(chosen: CredentialSettings, environment: Mapping[str, str]) -> Any:
    url = chosen.sts_url or environment.get("GOZEN_STORAGE__ENDPOINT_URL")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    config = Config(
        connect_timeout=_TIMEOUT_S,
        read_timeout=_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        parameter_validation=False,  # botocore knows Amazon's shortest lifetime; other servers may allow a shorter one
    )
    try:
        return Session().create_client("sts", region, endpoint_url=url, config=config)
    except (ValueError, BotoCoreError) as error:
        raise BadRequest(f"STS at {url} cannot be used: {error}; check credentials.sts_url") from error


def _bucket(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme not in ("s3", "s3a", "s3n") or not bucket:
        raise BadRequest(
            f"the archive {url!r} is not in a bucket (s3://...), so labs need no credentials: set "
            "credentials.method to none"
        )
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
