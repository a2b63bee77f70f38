"""One transfer to Nextcloud in a thread: its progress, and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gozen.errors import CloudConflict, GozenError
from gozen.sharing.cloud import Cloud
from gozen.sharing.lab.lab_places import LabPlace
from gozen.sharing.pauses import Stopped
from gozen.sharing.transfers.outcomes import FileOutcome, Transfers
from gozen.sharing.transfers.progress import Progress
from gozen.sharing.transfers.visible_files import VisibleFiles


class LabUpload(Progress):
    """Sends files in a thread; other threads may read its progress.

    Parameters
    ----------
    opened
        Opens the files of the account.
    places
        The files.
    visible
        Which files of a folder are sent.
    overwrite
        Whether files that have changed in Nextcloud are replaced.
    """

    def __init__(
        self,
        opened: Callable[[], Cloud],
        places: Sequence[LabPlace],
        visible: VisibleFiles,
        *,
        overwrite: bool = False,
    ) -> None:
        self._opened, self._places, self._visible, self._overwrite = opened, places, visible, overwrite
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._state: dict[str, Any] = {"state": "running"}
        self._found = self._moved = self._files = 0
        self._conflicts: list[str] = []

    def start(self) -> None:
        """Start the transfer."""
        threading.Thread(target=self._run, name="upload", daemon=True).start()

    def stop(self) -> None:
        """Ask the transfer to end; chunks that have arrived are kept, and a later transfer continues."""
        self._stop.set()

    def is_sending(self, places: Sequence[LabPlace], *, overwrite: bool) -> bool:
        """Return whether the transfer is running, and sends exactly these files with the same option `overwrite`."""
        running = self._state["state"] == "running" and not self._stop.is_set()
        return running and (list(places), overwrite) == (list(self._places), self._overwrite)

    def seen(self) -> dict[str, Any]:
        """Return the state: ``running``, ``done``, ``stopped``, or ``failed`` with the name of the error and a message.

        The numbers are bytes found and sent so far, and files that have ended. ``conflicts`` are the files that were
        not sent because they have changed in Nextcloud.
        """
        with self._lock:
            numbers = {"found": self._found, "moved": self._moved, "files": self._files}
            return {**self._state, **numbers, "conflicts": sorted(self._conflicts)}

    def found(self, size: int) -> None:
        """Add the size of a file to the bytes to send."""
        with self._lock:
            self._found += size

    def moved(self, size: int) -> None:
        """Add to the bytes that were sent."""
        with self._lock:
            self._moved += size

    def finished(self, outcome: FileOutcome) -> None:
        """Add to the number of files that have ended."""
        with self._lock:
            self._files += 1
            if isinstance(outcome.error, CloudConflict):
                self._conflicts.append(Path(outcome.path).relative_to(self._visible.root).as_posix())

    def _send(self, cloud: Cloud) -> None:
        """Send all files, then raise if some were not sent: the user decides about all conflicts at once."""
        done: list[Transfers] = []
        for folder, places in _by_folder(self._places).items():
            sent = cloud.put(
                [one.file for one in places],
                folder,
                overwrite=self._overwrite,
                progress=self,
                check=False,
                stop=self._stop,
                visible=self._visible,
            )
            done.append(sent)
            if sent.fatal is not None:
                break
        for one in reversed(done):
            one.check()

    def _run(self) -> None:
        try:
            with self._opened() as cloud:
                self._send(cloud)
            ended = {"state": "done"}
        except Stopped:
            ended = {"state": "stopped"}
        except GozenError as error:
            ended = {"state": "failed", "error": error.name, "message": str(error)}
        except Exception as error:
            ended = {"state": "failed", "error": type(error).__name__, "message": f"the transfer failed: {error!r}"}
            raise
        finally:
            with self._lock:
                self._state = ended


def _by_folder(places: Sequence[LabPlace]) -> dict[str, list[LabPlace]]:
    found: dict[str, list[LabPlace]] = {}
    for one in places:
        if not one.shown:
            found.setdefault(one.cloud.rpartition("/")[0], []).append(one)
    return found
