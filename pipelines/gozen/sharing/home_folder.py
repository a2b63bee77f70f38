"""The user's home if Nextcloud shows it as an external storage: find the path in Nextcloud of a file of the home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gozen.errors import BadRequest
from gozen.settings import SharingSettings
from gozen.sharing.remote_names import check_path, joined


@dataclass(frozen=True)
class HomeFolder:
    """A home, and the folder in Nextcloud that shows the same files.

    Parameters
    ----------
    home
        The folder on this machine.
    folder
        The path of the external storage in Nextcloud; empty if Nextcloud does not show the home.
    """

    home: Path
    folder: str = ""

    def cloud_path(self, file: Path) -> str | None:
        """Return the path of a file in Nextcloud; None if Nextcloud does not show it.

        Raises
        ------
        UnsuitableName
            Nextcloud cannot keep its name.
        """
        home, found = self.home.resolve(), file.expanduser().resolve()
        if not self.folder or not found.is_relative_to(home):
            return None
        return check_path(self.folder if found == home else joined(self.folder, found.relative_to(home).as_posix()))

    def path_of(self, file: Path) -> str:
        """Return the path of a file in Nextcloud.

        Raises
        ------
        BadRequest
            Nextcloud does not show it.
        """
        found = self.cloud_path(file)
        if found is None:
            raise BadRequest(
                f"Nextcloud does not show {file}: "
                + (f"it is not below {self.home}" if self.folder else "the setting sharing.home_folder is not set")
                + "; send it with `gozen share put` (in Python: put), and share the copy"
            )
        return found

    def meant(self, text: str) -> str:
        """Return the path in Nextcloud that a user means: the path of a file of this machine, else the text itself.

        A text that begins with a slash, such as ``/survey``, is the path in Nextcloud unless there is such a file.
        """
        file = Path(text).expanduser()
        return (self.cloud_path(file) if text and self.folder and file.exists() else None) or text

    def shows(self, path: str) -> bool:
        """Return whether a path in Nextcloud is in the external storage."""
        return bool(self.folder) and (path == self.folder or path.startswith(f"{self.folder}/"))


def home_folder(settings: SharingSettings) -> HomeFolder:
    """Return the home of this user, with the folder of the settings."""
    return HomeFolder(Path.home(), check_path(settings.home_folder or ""))
