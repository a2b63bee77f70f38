"""Render a page from its template, in the language and theme of the user."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gozen.portal.shell import value_texts
from gozen.portal.shell.forms import FIELD, asked_for, form_token, own_path
from gozen.portal.shell.hub_login import User
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.portal.shell.preferences import LANGUAGES, THEMES, preferences
from gozen.portal.shell.texts import TEXTS

PORTAL = Path(__file__).parents[1]
"""Folder of this package, with templates and static files."""


@dataclass(frozen=True)
class ErrorPage:
    """The content of a page about an error.

    Parameters
    ----------
    status
        The HTTP status.
    key
        First part of the names of its texts, ``error_{key}_title`` and ``error_{key}_advice``.
    again
        Address of a link to try again; empty for the first page.
    """

    status: int
    key: str
    again: str = ""


class Pages:
    """The templates of the portal."""

    def __init__(self, settings: PortalSettings, stamp: str) -> None:
        self._settings = settings
        self._stamp = stamp
        self._templates = Environment(
            loader=FileSystemLoader(PORTAL / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "count": value_texts.count_text,
            "size": value_texts.size_text,
            "night": value_texts.night_text,
            "clock": value_texts.clock_text,
            "segment": lambda text: quote(text, safe="", errors="surrogateescape"),
            "quoted": lambda text: json.dumps(text, ensure_ascii=False),
        }

    def page(
        self, request: Request, template: str, user: User | None, values: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """Return a page as an answer."""
        wanted = preferences(request.cookies, request.headers.get("accept-language", ""))
        place = LANGUAGES.index(wanted.language)

        def text(key: str, **filled: object) -> str:
            return TEXTS[key][place].format(**filled) if filled else TEXTS[key][place]

        shell = {
            "t": text,
            "wanted": wanted,
            "themes": THEMES,
            "user": user,
            "prefix": self._settings.prefix,
            "hub_url": self._settings.hub_url,
            "stamp": self._stamp,
            "form_field": FIELD,
            "form_token": form_token(self._settings, user.session) if user else "",
            "here": own_path(self._settings, asked_for(request)),
            "path": request.scope["path"],
        }
        found = self._templates.get_template(template).render({**shell, **values})
        headers = {"Content-Language": wanted.language, "Vary": "Cookie, Accept-Language"}
        # Names of files need not be UTF-8; such a name is shown with question marks.
        return HTMLResponse(found.encode("utf-8", "replace"), status, headers)

    def error(self, request: Request, what: ErrorPage, user: User | None = None) -> HTMLResponse:
        """Return a page about an error."""
        return self.page(request, "error.html", user, {"error": what}, what.status)


def stamp_of(folder: Path) -> str:
    """Return a text that changes with the files of a folder, so that browsers fetch the new files."""
    content = b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
    return hashlib.sha256(content).hexdigest()[:12]
