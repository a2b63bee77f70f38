"""Forms that change something: read, and refused unless they come from a page of this portal."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from fastapi import Request

from gozen.portal.shell.origins import origin_of
from gozen.portal.shell.portal_settings import PortalSettings

LONGEST = 4096
"""Most bytes of a form."""
FIELD = "form_token"
"""Name of the form field that contains the token."""


class ForeignForm(Exception):
    """A form did not come from a page of this portal, or belongs to another log-in."""


def form_token(settings: PortalSettings, session: str) -> str:
    """Return the token for the forms of a log-in; other sites cannot know it (protection against CSRF)."""
    return hmac.digest(settings.api_token.encode(), f"gozen portal: form of {session}".encode(), "sha256").hex()


def check_form(settings: PortalSettings, headers: Mapping[str, str], fields: Mapping[str, str], session: str) -> None:
    """Check where a form comes from.

    Raises
    ------
    ForeignForm
        The header ``Origin`` is missing or is not the portal's, or the token of the form does not belong to this
        log-in.
    """
    sent_by = origin_of(headers.get("origin", ""))
    if sent_by is None or sent_by != settings.origin:
        raise ForeignForm
    if not hmac.compare_digest(fields.get(FIELD, "").encode(), form_token(settings, session).encode()):
        raise ForeignForm


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; a form that is too long or not of text is read as empty."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            return {}
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=20))
    except ValueError:
        return {}


def own_path(settings: PortalSettings, address: str) -> str:
    """Return a path of this portal with its query unchanged; return the path of the first page for any other text."""
    path = unquote(address.partition("?")[0])  # browsers read %2e%2e as ..
    inside = address.startswith(settings.prefix) and path.startswith(settings.prefix) and address.isprintable()
    return address if inside and not any(one in path for one in ("\\", "//", "..")) else settings.prefix


def asked_for(request: Request) -> str:
    """Return the path and the query of a request; never the host, which the client names."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.scope['path']}{'?' if query else ''}{query}"
