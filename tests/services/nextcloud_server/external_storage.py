"""External storages: folders of the machine that a user sees in the cloud, and what the server knows of them.

From the administrator's manual: changes from outside are noticed at a direct access, unless that check is switched off,
and by a scan (``occ files:scan``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class ExternalStorage:
    """A folder that a user sees.

    Parameters
    ----------
    mount
        Where the user's files show it.
    folder
        The folder.
    checks
        The option ``filesystem_check_changes``: whether a direct access finds changes.
    known
        Files that the server knows, relative to the folder.
    """

    mount: Path
    folder: Path
    checks: bool = True
    known: set[Path] = field(default_factory=set)

    def scan(self) -> None:
        """Find all files."""
        self.known = {one.relative_to(self.folder) for one in self.folder.rglob("*")}

    def has(self, file: Path) -> bool:
        """Return whether a path in the user's files is in this storage."""
        return file != self.mount and file.is_relative_to(self.mount)

    def accessed(self, file: Path) -> bool:
        """Return whether a direct access finds a file; if so, the server knows it from now on."""
        if self.checks and file.exists():
            self.known.add(file.relative_to(self.mount))
        return self.knows(file)

    def knows(self, file: Path) -> bool:
        """Return whether the server knows a file."""
        return file.relative_to(self.mount) in self.known and file.exists()
