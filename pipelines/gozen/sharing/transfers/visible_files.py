"""The files that a file browser shows, which are the only ones that it may share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class VisibleFiles:
    """The files below the top folder of a file browser.

    Parameters
    ----------
    root
        The top folder, without links in its path.
    hidden
        Whether the file browser shows hidden files.
    """

    root: Path
    hidden: bool = False

    def why_not(self, path: Path) -> str:
        """Return why the file browser does not show the content of a file, such as ``hidden``; empty if it does."""
        for one, reason in ((path, "hidden"), (path.resolve(), "a link to a hidden file")):
            if not one.is_relative_to(self.root):
                return "a link that leads out of the folder of the file browser"
            if not self.hidden and any(part.startswith(".") for part in one.relative_to(self.root).parts):
                return reason
        return ""
