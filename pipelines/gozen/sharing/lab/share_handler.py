"""What all addresses of the dialog share: who may ask, the settings, the files that are meant, errors as sentences.

Only the user of the lab may ask: each request is authenticated, and those of a browser that change something need
Jupyter's XSRF token. What blocks runs in threads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler

from gozen.errors import BadRequest, GozenError
from gozen.settings import SharingSettings, load_settings
from gozen.sharing.home_folder import home_folder
from gozen.sharing.installed import check_installed
from gozen.sharing.lab.lab_places import LabPlace, LabPlaces


class ShareHandler(APIHandler):  # type: ignore[misc]  # jupyter_server is not checked, see pyproject.toml
    """A handler of the lab's server that answers in JSON."""

    auth_resource = "contents"

    async def answer(self, act: Callable[[], dict[str, Any]]) -> None:
        """Answer with what a function returns; it runs in a thread."""
        try:
            found = await asyncio.to_thread(self._checked, act)
        except GozenError as error:
            self.set_status(400)
            found = {"error": error.name, "message": str(error)}
        self.set_header("Cache-Control", "no-store")  # links and passwords
        self.finish(json.dumps(found))

    def _checked(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        check_installed("the sharing of files")
        return act()

    @property
    def sharing(self) -> SharingSettings:
        """The settings, as they are now."""
        return load_settings().sharing

    def shares(self) -> Any:
        """Return the shares of the account."""
        from gozen.sharing.cloud import connect
        from gozen.sharing.lab.lab_shares import LabShares

        return LabShares(lambda: connect(settings=self.sharing))

    def places(self, paths: tuple[str, ...]) -> list[LabPlace]:
        """Return where files of the file browser are."""
        return self.file_browser.of(paths)

    @property
    def file_browser(self) -> LabPlaces:
        """The places of all files of the file browser."""
        root = getattr(self.contents_manager, "root_dir", None)
        if not root:
            raise BadRequest("the file browser does not show files of this machine, so they cannot be shared here")
        settings, hidden = self.sharing, bool(self.contents_manager.allow_hidden)
        return LabPlaces(Path(root), home_folder(settings), settings.lab_folder, hidden)

    @property
    def running(self) -> dict[str, Any]:
        """The transfers and the log-in of this lab, by name."""
        found: dict[str, Any] = self.settings["gozen_share"]
        return found
