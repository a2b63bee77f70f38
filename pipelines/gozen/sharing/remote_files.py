"""Files and folders of an account: find, list, make folders, remove."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http import HTTPStatus

from gozen.errors import BadRequest, CloudConflict, SharingError, UnexpectedAnswer
from gozen.sharing.answers import Answer
from gozen.sharing.checksums import best_of
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.file_listing import REQUEST, Entry, entries
from gozen.sharing.remote_names import joined, quoted

_XML = {"Content-Type": "application/xml; charset=utf-8"}


class RemoteFiles:
    """The files of an account; threads may share it.

    Parameters
    ----------
    root
        Address of the folder to which all paths are relative; default: the user's folder.
    """

    def __init__(self, connection: Connection, root: str | None = None) -> None:
        self.connection = connection
        self.root = root or connection.account.dav("files", connection.account.id)
        self._made: set[str] = {""}
        self._lock = threading.Lock()

    def address(self, path: str) -> str:
        """Return the address of a file."""
        return f"{self.root}/{quoted(path)}" if path else self.root

    def find(self, path: str, doing: str = "find") -> Entry | None:
        """Return a file or folder, None if it does not exist."""
        answer = self._propfind(path, "0", doing, accept=(404,))
        if answer.status == 404:
            return None
        return next(self._entries(answer), None)

    def list(self, path: str) -> list[Entry]:
        """Return what a folder contains; raise `CloudPathNotFound` if it does not exist."""
        answer = self._propfind(path, "1", "list")
        found = list(self._entries(answer))
        if len(found) == 1 and not found[0].is_folder:
            return found  # it is a file
        inside = [one for one in found if one.path != path]
        for one in inside:
            # A name with a slash, or "..", would lead out of the folder into which the file is to be written.
            if one.path != joined(path, one.name) or one.name in ("", ".", "..") or "\0" in one.name:
                raise UnexpectedAnswer(
                    f"the server lists {one.path!r} in the folder {path!r}, which is not possible; report it to the "
                    "administrator of the server"
                )
        return inside

    def make_folder(self, path: str) -> bool:
        """Make a folder and those above it; return whether it is new.

        Raises
        ------
        CloudConflict
            A file has this name.
        """
        with self._lock:
            if path in self._made:
                return False
        answer = self._mkcol(path)
        if answer.status == 409 and (above := path.rpartition("/")[0]):
            self.make_folder(above)
            answer = self._mkcol(path)
        found = self.find(path) if answer.status in (405, 507) else None
        if found is not None and not found.is_folder:
            raise CloudConflict(f"cannot make the folder {path}: a file has this name in Nextcloud; choose another")
        # If the quota is used up, the server refuses a folder before it looks whether the folder exists.
        if answer.status == 409 or (answer.status == 507 and found is None):
            raise self.connection.named(answer, None, path, "make the folder")
        with self._lock:
            self._made.add(path)
        return answer.status == 201

    def remove(self, path: str, etag: str) -> bool:
        """Remove a file if it still has this ETag; return False, and keep it, if somebody has changed it."""
        answer = self.connection.request(
            "DELETE", self.address(path), subject=path, doing="remove", headers={"If-Match": etag}, accept=(404, 412)
        )
        return answer.status != HTTPStatus.PRECONDITION_FAILED

    def computed_checksum(self, path: str, algorithm: str, patience_s: float) -> str:
        """Let the server compute the checksum of a file, and keep it; empty if the server cannot.

        Parameters
        ----------
        patience_s
            Seconds for which the server may be silent meanwhile.
        """
        try:
            answer = self.connection.request(
                "PATCH", self.address(path), subject=path, doing="compute the checksum of",
                headers={"X-Recalculate-Hash": algorithm.lower()}, repeatable=True, read_timeout_s=patience_s,
            )  # fmt: skip
        except SharingError:
            return ""
        return best_of([answer.headers.get("oc-checksum", "")])

    def _mkcol(self, path: str) -> Answer:
        return self.connection.request(
            "MKCOL", self.address(path), subject=path, doing="make the folder", accept=(405, 409, 507), repeatable=True
        )

    def _propfind(self, path: str, depth: str, doing: str, accept: tuple[int, ...] = ()) -> Answer:
        subject = path or "the folder of the account"
        headers = {"Depth": depth, **_XML}
        return self.connection.request(
            "PROPFIND", self.address(path), subject=subject, doing=doing, headers=headers, body=REQUEST, accept=accept
        )

    def _entries(self, answer: Answer) -> Iterator[Entry]:
        if answer.status != 207:
            raise UnexpectedAnswer(
                f"{self.root} does not answer like a Nextcloud server (status {answer.status}); check its address"
            )
        try:
            yield from entries(answer.body, self.root)
        except BadRequest as error:
            raise UnexpectedAnswer(str(error)) from error
