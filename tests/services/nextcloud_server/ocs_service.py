"""OCS of the Nextcloud server of the tests: capabilities, the user, app passwords, sharees, shares; JSON and XML.

It follows Nextcloud's documentation. Version 1 answers with HTTP 200 for every status in `meta`, except 401 without a
log-in; version 2 has the code as its HTTP status. As in PHP, empty objects are lists, and a single share is a list with
one element.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from .people import People, Person, Rules
from .share_book import RefusedError, ShareBook, as_record

_SHARES = "apps/files_sharing/api/v1/shares"
_SHAREES = "apps/files_sharing/api/v1/sharees"


@dataclass(frozen=True)
class OcsRequest:
    """A request to OCS.

    Parameters
    ----------
    path
        What comes after ``/ocs/v1.php/`` or ``/ocs/v2.php/``.
    version
        1 or 2.
    person, password
        Who is logged in, and with which password or app password; None and empty for nobody.
    headers
        With names in lower case.
    address
        The address of the server, for links.
    """

    method: str
    path: str
    version: int
    person: Person | None
    password: str
    headers: Mapping[str, str]
    address: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OcsAnswer:
    """An answer of OCS."""

    status: int
    content_type: str
    body: bytes


@dataclass
class OcsService:
    """Answers requests to OCS."""

    people: People
    rules: Rules
    book: ShareBook

    def answer(self, request: OcsRequest) -> OcsAnswer:
        """Return the answer to a request."""
        if request.headers.get("ocs-apirequest") != "true":
            return OcsAnswer(412, "application/json", b'{"message": "CSRF check failed"}')
        if request.person is None and request.path != "cloud/capabilities":
            return _wrapped(request, 997, "Current user is not logged in", [])
        try:
            data = self._data(request)
        except RefusedError as refused:
            return _wrapped(request, refused.code, refused.message, [])
        return _wrapped(request, 100 if request.version == 1 else 200, "OK", data)

    def _data(self, request: OcsRequest) -> Any:
        if request.path == "cloud/capabilities":
            return capabilities(self.rules)
        assert request.person is not None
        if request.path == "cloud/user":
            return user_record(request.person)
        if request.path == "core/apppassword" and request.method == "DELETE":
            return self._revoke(request.person, request.password)
        if request.path == _SHAREES:
            return self._sharees(request)
        if request.path == _SHARES or request.path.startswith(f"{_SHARES}/"):
            return self._shares(request, request.person)
        raise RefusedError(998, "Invalid query, please check the syntax")

    def _revoke(self, person: Person, password: str) -> list[Any]:
        if person.app_passwords.pop(password, None) is None:
            raise RefusedError(403, "no app password in use")
        return []

    def _shares(self, request: OcsRequest, me: Person) -> Any:
        number = request.path.removeprefix(_SHARES).strip("/")
        match request.method, bool(number):
            case "GET", False:
                found = self.book.listed(me, request.query)
            case "GET", True:
                found = [self.book.one(me, number)]
            case "POST", False:
                return as_record(self.book.make(me, request.form), self.people, request.address)
            case "PUT", True:
                return as_record(self.book.change(me, number, request.form), self.people, request.address)
            case "DELETE", True:
                self.book.delete(me, number)
                return []
            case _:
                raise RefusedError(998, "Invalid query, please check the syntax")
        return [as_record(one, self.people, request.address) for one in found]

    def _sharees(self, request: OcsRequest) -> dict[str, Any]:
        text = request.query.get("search", "").lower()
        users = {one.id: one.displayed for one in self.people.persons if one is not request.person}
        found: dict[str, Any] = {"exact": {}, "lookupEnabled": False}
        for plural, number, names in (("users", 0, users), ("groups", 1, {one: one for one in self.people.groups})):
            records = [
                {"label": label, "value": {"shareType": number, "shareWith": name}}
                for name, label in sorted(names.items())
                if text in name.lower() or text in label.lower()
            ]
            exact = [one for one in records if one["value"]["shareWith"].lower() == text]
            found["exact"][plural] = exact
            found[plural] = [one for one in records if one not in exact]
        return found


def capabilities(rules: Rules) -> dict[str, Any]:
    """Return the capabilities as a server with these rules tells them."""
    public: dict[str, Any] = {"enabled": rules.links}
    if rules.links:
        public["password"] = {"enforced": rules.link_password, "askForOptionalPassword": False}
        public["multiple_links"] = True
        public["expire_date"] = {"enabled": rules.expiry_days is not None}
        if rules.expiry_days is not None:
            public["expire_date"] |= {"days": rules.expiry_days, "enforced": rules.expiry_enforced}
        public["upload"] = public["upload_files_drop"] = rules.link_upload
    if not rules.sharing:
        shares: dict[str, Any] = {"api_enabled": False, "public": {"enabled": False}, "resharing": False}
    else:
        shares = {"api_enabled": True, "public": public, "resharing": rules.resharing, "group_sharing": rules.groups}
        shares |= {"group": {"enabled": rules.groups}, "default_permissions": 31}
    dav = {"chunking": "1.0"} | ({"bulkupload": "1.0", "public_shares_chunking": True} if rules.major >= 32 else {})
    version = {"major": rules.major, "minor": 0, "micro": 2, "string": rules.version, "edition": ""}
    return {
        "version": version | {"extendedSupport": False},
        "capabilities": {
            "core": {"pollinterval": 60, "webdav-root": "remote.php/webdav"},
            "dav": dav,
            "files": {"bigfilechunking": True, "blacklisted_files": [".htaccess"]},
            "files_sharing": shares,
            "password_policy": _password_policy(rules),
        },
    }


def _password_policy(rules: Rules) -> dict[str, Any]:
    found: dict[str, Any] = {"minLength": rules.least_password, "enforceNonCommonPassword": True}
    if rules.major >= 31:
        found["policies"] = {"account": {"minLength": rules.least_password}}
        if rules.least_link_password is not None:
            found["policies"]["sharing"] = {"minLength": rules.least_link_password}
    return found


def user_record(person: Person) -> dict[str, Any]:
    """Return a user as OCS describes them."""
    quota = {"free": person.quota, "used": 0, "total": person.quota, "relative": 0, "quota": person.quota}
    names = {"displayname": person.displayed, "display-name": person.displayed}
    groups = list(person.groups)
    return {"enabled": True, "id": person.id, "quota": quota, "email": None, "groups": groups, "language": "en"} | names


def _wrapped(request: OcsRequest, code: int, message: str, data: Any) -> OcsAnswer:
    good = code == 100 or 200 <= code < 300
    meta = {"status": "ok" if good else "failure", "statuscode": code, "message": message}
    meta |= {"totalitems": "", "itemsperpage": ""} if request.version == 1 else {}
    status = {997: 401, 998: 404, 996: 500}.get(code, code)
    if request.version == 1:
        status = 401 if code == 997 else 200
    whole = {"ocs": {"meta": meta, "data": data}}
    if request.query.get("format") == "json" or "json" in request.headers.get("accept", ""):
        return OcsAnswer(status, "application/json; charset=utf-8", json.dumps(whole).encode())
    text = f'<?xml version="1.0"?>\n{_xml(whole)}'
    return OcsAnswer(status, "application/xml; charset=utf-8", text.encode())


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(one)}</{name}>" for name, one in value.items())
    if isinstance(value, list):
        return "".join(f"<element>{_xml(one)}</element>" for one in value)
    if isinstance(value, bool):
        return "1" if value else ""
    return "" if value is None else escape(str(value))
