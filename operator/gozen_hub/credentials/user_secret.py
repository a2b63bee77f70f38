"""The Secret with a user's credentials, as labs mount it. No I/O."""

from __future__ import annotations

import base64
import configparser
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gozen.archive.access_levels import Level
from gozen.archive.stores.s3_access import Keys
from gozen.errors import BadRequest
from gozen_hub.lab_pods import CREDENTIALS, CREDENTIALS_SECRET
from gozen_hub.namespaces.namespace_objects import OWNED

FILE, SESSION = "credentials", "session.json"
"""Keys of the Secret, and names of the mounted files; only short-lived credentials have the second one."""
LEVEL = "gozen.astro/access-level"
"""Annotation with the access level of the credentials: member or other."""
_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True)
class Issued:
    """Credentials, for how long they are valid (s), and until when; None for keys that do not expire."""

    keys: Keys
    lifetime_s: float
    expires: datetime | None = None


def user_secret(namespace: str, level: Level, issued: Issued) -> dict[str, Any]:
    """Return the manifest of a namespace's Secret."""
    meta = {"name": CREDENTIALS_SECRET, "namespace": namespace, "labels": OWNED, "annotations": {LEVEL: level}}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in secret_files(issued).items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}


def secret_files(issued: Issued, folder: str = CREDENTIALS) -> Mapping[str, str]:
    """Return the files of a Secret that is mounted at `folder`.

    AWS's clients read keys in a credentials file only once. They run a `credential_process` again before its answer
    expires, so s3fs and others continue with renewed credentials. The credentials file therefore names a command that
    prints the second file.
    """
    if issued.expires is None:
        return {FILE: credentials_text(issued.keys)}
    session = {
        "Version": 1,
        "AccessKeyId": issued.keys.key,
        "SecretAccessKey": issued.keys.secret,
        "SessionToken": issued.keys.token,
        "Expiration": issued.expires.astimezone(UTC).isoformat(timespec="seconds"),
    }
    return {FILE: f"[default]\ncredential_process = cat {folder}/{SESSION}\n", SESSION: json.dumps(session)}


def path_of_secret(namespace: str) -> str:
    """Return the path of a namespace's Secret at the API server."""
    return f"/api/v1/namespaces/{namespace}/secrets/{CREDENTIALS_SECRET}"


def credentials_text(keys: Keys) -> str:
    """Return a file of credentials in the format of AWS's clients."""
    values = zip(_NAMES, (keys.key, keys.secret, keys.token), strict=True)
    return "".join(["[default]\n", *(f"{name} = {value}\n" for name, value in values if value)])


def read_credentials(text: str, name: str) -> Keys:
    """Return the access key of the profile ``default`` in a file of credentials, and nothing else of the file.

    Raises
    ------
    BadRequest
        The file has no such key; the message begins with `name`.
    """
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_file(io.StringIO(text))
        found = dict(parser["default"])
        return Keys(found[_NAMES[0]], found[_NAMES[1]], found.get(_NAMES[2]) or None)
    except (configparser.Error, KeyError) as error:
        raise BadRequest(
            f"{name} is not a file of credentials: it must have the profile [default] with {_NAMES[0]} and {_NAMES[1]}"
        ) from error
