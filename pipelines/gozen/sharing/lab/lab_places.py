"""Which file a path of the lab's file browser is, and where it is, or will be, in Nextcloud."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gozen.errors import BadRequest
from gozen.sharing.home_folder import HomeFolder
from gozen.sharing.remote_names import check_path, joined
from gozen.sharing.transfers.visible_files import VisibleFiles


@dataclass(frozen=True)
class LabPlace:
    """A file or folder of the lab.

    Parameters
    ----------
    path
        Its path in the file browser.
    file
        Where it is on this machine.
    cloud
        Its path in Nextcloud.
    shown
        Whether Nextcloud shows the home; if so, the file need not be sent.
    """

    path: str
    file: Path
    cloud: str
    shown: bool


@dataclass(frozen=True)
class LabPlaces:
    """The places of all files of a lab.

    Parameters
    ----------
    root
        The top folder of the file browser.
    home
        The home, and the folder in Nextcloud that shows it.
    folder
        The folder in Nextcloud to which files are sent.
    hidden
        Whether the file browser shows hidden files.
    """

    root: Path
    home: HomeFolder
    folder: str
    hidden: bool = False

    @property
    def visible(self) -> VisibleFiles:
        """The files that the file browser shows."""
        return VisibleFiles(self.root.resolve(), self.hidden)

    def of(self, paths: Sequence[str]) -> list[LabPlace]:
        """Return the places of some paths; raises the errors of `file_below`."""
        return [self._of(path) for path in paths]

    def _of(self, path: str) -> LabPlace:
        file = file_below(self.visible, path)
        shown = self.home.cloud_path(file)
        cloud = shown or joined(check_path(self.folder), check_path(path))
        return LabPlace(path.strip("/"), file, cloud, shown is not None)


def file_below(visible: VisibleFiles, path: str) -> Path:
    """Return the file that a path of the file browser names.

    Raises
    ------
    BadRequest
        The file is not below the top folder of the file browser, is hidden, or does not exist.
    """
    parts = [part for part in path.split("/") if part]
    if not parts:
        raise BadRequest("the top folder of the file browser cannot be shared: select a file or folder in it")
    if ".." in parts or "\0" in path or "\\" in path:
        raise BadRequest(f"{path!r} is not a path of the file browser: select the file there")
    file = visible.root.joinpath(*parts)
    if why_not := visible.why_not(file):
        raise BadRequest(f"{path} is {why_not}, so it is not shared: use `gozen share put` for it")
    if not os.access(file, os.R_OK):
        raise BadRequest(f"{path} does not exist, or cannot be read: select it again in the file browser")
    return file
