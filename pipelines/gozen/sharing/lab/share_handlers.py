"""Handlers of the addresses below ``gozen/share`` of the lab's server: each parses a request and calls one function."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from tornado.web import Application, authenticated

from gozen.errors import BadRequest, LogInRefused
from gozen.sharing.lab.lab_requests import (
    LabSelection,
    LabUploadRequest,
    LinkTo,
    LogInAt,
    SharingWith,
    Withdrawal,
    asked,
)
from gozen.sharing.lab.share_handler import ShareHandler

if TYPE_CHECKING:
    from gozen.sharing.account import Account
    from gozen.sharing.cloud_connection import Connection

_KEPT_UPLOADS = 20


class AccountHandler(ShareHandler):
    """The account at Nextcloud: show it, or log out."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Return the user who is logged in, or the address of the Nextcloud for a log-in."""
        await self.answer(self._account)

    @authenticated
    @authorized
    async def delete(self) -> None:
        """Revoke the app password."""
        await self.answer(self._log_out)

    def _account(self) -> dict[str, Any]:
        from gozen.sharing.current_account import current_account

        settings = self.sharing
        try:
            account = current_account(settings)
        except LogInRefused:
            return {"account": None, "url": settings.url or ""}
        return {"account": {"url": account.url, "user": account.id}, "url": settings.url or ""}

    def _log_out(self) -> dict[str, Any]:
        from gozen.sharing.cloud import ATTEMPTS_BY_HAND, connection_for
        from gozen.sharing.login.log_in import log_out

        settings = self.sharing

        def connecting(account: Account, *, log_in: bool = True) -> Connection:
            return connection_for(account, settings, ATTEMPTS_BY_HAND, log_in=log_in)

        log_out(connecting=connecting)
        return {}


class LogInHandler(ShareHandler):
    """The log-in with the browser, one at a time."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Begin a log-in; an earlier log-in that is not finished ends."""
        await self.answer(self._begin)

    @authenticated
    @authorized
    async def get(self) -> None:
        """Return whether the user has agreed in the browser."""
        current = self.running.get("log-in")
        self.answer_now(lambda: current.seen() if current else {"state": "stopped"})

    @authenticated
    @authorized
    async def delete(self) -> None:
        """Stop waiting for the user."""
        self.answer_now(self._end)

    def _begin(self) -> dict[str, Any]:
        from gozen.sharing.lab.lab_log_in import LabLogIn

        self._end()
        current = self.running["log-in"] = LabLogIn(self.sharing, asked(LogInAt, self.get_json_body()).url)
        return current.start()

    def _end(self) -> dict[str, Any]:
        before = self.running.pop("log-in", None)
        if before is not None:
            before.stop()
        return {}


class UploadsHandler(ShareHandler):
    """Transfers to Nextcloud."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Begin a transfer and return its name; if the same transfer is already running, return its name."""
        await self.answer(self._begin)

    def _begin(self) -> dict[str, Any]:
        from gozen.sharing.cloud import connect
        from gozen.sharing.lab.lab_upload import LabUpload

        wish = asked(LabUploadRequest, self.get_json_body())
        browser, settings = self.file_browser, self.sharing
        places = browser.of(wish.paths)
        uploads = self.running["uploads"]
        for name, one in [*uploads.items()]:
            if one.is_sending(places, overwrite=wish.overwrite):
                return {"id": name}
        upload = LabUpload(lambda: connect(settings=settings), places, browser.visible, overwrite=wish.overwrite)
        name = secrets.token_hex(8)
        uploads[name] = upload
        for old in [*uploads][:-_KEPT_UPLOADS]:
            uploads.pop(old).stop()
        upload.start()
        return {"id": name}


class UploadHandler(ShareHandler):
    """One transfer."""

    @authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Return the progress of the transfer."""
        self.answer_now(lambda: self._found(name).seen())

    @authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """End the transfer."""
        self.answer_now(lambda: self._found(name).stop() or {})

    def _found(self, name: str) -> Any:
        try:
            return self.running["uploads"][name]
        except KeyError:
            raise BadRequest("this lab does not know the transfer any more: send the files again") from None


class SharesHandler(ShareHandler):
    """Make and withdraw shares with users and groups."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Share files with users and groups."""

        def share() -> dict[str, Any]:
            wish = asked(SharingWith, self.get_json_body())
            found: dict[str, Any] = self.shares().share(self.places(wish.paths), wish)
            return found

        await self.answer(share)

    @authenticated
    @authorized
    async def delete(self) -> None:
        """Withdraw a share."""
        await self.answer(lambda: self.shares().withdraw(asked(Withdrawal, self.get_json_body()).id))


class SeenHandler(ShareHandler):
    """The people who see some files."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """List the people who see some files. It is a POST because many paths would be too long for an address."""

        def seen() -> dict[str, Any]:
            wish = asked(LabSelection, self.get_json_body())
            found: dict[str, Any] = self.shares().seen(self.places(wish.paths))
            return found

        await self.answer(seen)


class LinksHandler(ShareHandler):
    """Public links."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Make a link to each of the files."""

        def link() -> dict[str, Any]:
            wish = asked(LinkTo, self.get_json_body())
            found: dict[str, Any] = self.shares().link(self.places(wish.paths), wish)
            return found

        await self.answer(link)


def add_handlers(app: Application) -> None:
    """Add the addresses to the lab's server."""
    app.settings["gozen_share"] = {"uploads": {}}
    base = app.settings["base_url"]
    handlers = {
        "account": AccountHandler,
        "login": LogInHandler,
        "uploads": UploadsHandler,
        r"uploads/([0-9a-f]{16})": UploadHandler,
        "shares": SharesHandler,
        "shares/seen": SeenHandler,
        "links": LinksHandler,
    }
    app.add_handlers(".*$", [(url_path_join(base, "gozen/share", path), one) for path, one in handlers.items()])
