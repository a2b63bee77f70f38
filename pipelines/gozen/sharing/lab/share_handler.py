"""Common parts of the dialog's request handlers: authentication, settings, the selected files, error messages.

Only the user of the lab may send requests: each request is authenticated, and a browser's request that changes
something needs Jupyter's XSRF token. Calls that block run in threads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler

from gozen.errors import BadRequest, GozenError
from gozen.settings import SharingSettings, load_settings
from gozen.sharing.home_folder import home_folder
from gozen.sharing.installed import check_installed
from gozen.sharing.lab.lab_places import LabPlace, LabPlaces

_THREADS = ThreadPoolExecutor(4, thread_name_prefix="gozen-share")
"""Separate threads, so that a silent Nextcloud does not occupy the threads of the lab's server."""


class ShareHandler(APIHandler):  # type: ignore[misc]  # jupyter_server is not checked, see pyproject.toml
    """A handler of the lab's server that answers in JSON."""

    auth_resource = "contents"

    async def answer(self, act: Callable[[], dict[str, Any]]) -> None:
        """Call a function in a thread, because it may wait for Nextcloud, and answer with its result."""
        run = asyncio.get_running_loop().run_in_executor
        self._finish(await run(_THREADS, self._outcome, act))

    def answer_now(self, act: Callable[[], dict[str, Any]]) -> None:
        """Call a function that does not wait for Nextcloud, and answer with its result."""
        self._finish(self._outcome(act))

    def _outcome(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any] | GozenError:
        try:
            check_installed("the sharing of files")
            return act()
        except GozenError as error:
            return error

    def _finish(self, found: dict[str, Any] | GozenError) -> None:
        if isinstance(found, GozenError):
            self.set_status(400)
            found = {"error": found.name, "message": str(found)}
        self.set_header("Cache-Control", "no-store")  # links and passwords
        self.finish(json.dumps(found))

    @property
    def sharing(self) -> SharingSettings:
        """The settings, as they are now."""
        return load_settings().sharing

    def shares(self) -> Any:
        """Return the shares of the account."""
        from gozen.sharing.cloud import ATTEMPTS_BY_HAND, connect
        from gozen.sharing.lab.lab_shares import LabShares

        settings = self.sharing
        return LabShares(lambda: connect(settings=settings, attempts=ATTEMPTS_BY_HAND))

    def places(self, paths: tuple[str, ...]) -> list[LabPlace]:
        """Return the places, on this machine and in Nextcloud, of files of the file browser."""
        return self.file_browser.of(paths)

    @property
    def file_browser(self) -> LabPlaces:
        """The places of all files of the file browser."""
        root = getattr(self.contents_manager, "root_dir", None)
        if not root:
            raise BadRequest(
                "this file browser shows files that are not on the disk of the lab, so they cannot be shared here; "
                "use `gozen share with` in a terminal"
            )
        settings, hidden = self.sharing, bool(self.contents_manager.allow_hidden)
        return LabPlaces(Path(root), home_folder(settings), settings.lab_folder, hidden)

    @property
    def running(self) -> dict[str, Any]:
        """The transfers and the log-in of this lab, by name."""
        found: dict[str, Any] = self.settings["gozen_share"]
        return found
