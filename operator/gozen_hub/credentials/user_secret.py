"""The Secret with a user's credentials, as labs mount it. No I/O."""

from __future__ import annotations

import base64
import configparser
import io
from typing import Any

from gozen.archive.access_levels import Level
from gozen.archive.stores.s3_access import Keys
from gozen.errors import BadRequest
from gozen_hub.lab_pods import CREDENTIALS_SECRET
from gozen_hub.namespaces.namespace_objects import OWNED

FILE = "credentials"
"""Key of the Secret, and name of the mounted file."""
LEVEL = "gozen.astro/access-level"
"""Annotation: the level of the credentials."""
_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def user_secret(namespace: str, level: Level, keys: Keys) -> dict[str, Any]:
    """Return the manifest of a namespace's Secret."""
    meta = {"name": CREDENTIALS_SECRET, "namespace": namespace, "labels": OWNED, "annotations": {LEVEL: level}}
    content = base64.b64encode(credentials_text(keys).encode()).decode()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {FILE: content}}


def path_of_secret(namespace: str) -> str:
    """Return where the API server has the Secret of a namespace."""
    return f"/api/v1/namespaces/{namespace}/secrets/{CREDENTIALS_SECRET}"


def credentials_text(keys: Keys) -> str:
    """Return a file of credentials in the format of AWS's clients."""
    values = zip(_NAMES, (keys.key, keys.secret, keys.token), strict=True)
    return "".join(["[default]\n", *(f"{name} = {value}\n" for name, value in values if value)])


def read_credentials(text: str, name: str) -> Keys:
    """Return the key in a file of credentials: that of the profile ``default``, and nothing else of the file.

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
