"""Uploads in chunks: version 2, whose requests name the destination, and version 1, whose requests do not."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .http import Refused, Reply, Request
from .state import State, etag_of
from .writes import check_name, check_quota, check_unlocked, publish, receive

_MOST = 10_000


class ChunkedUploads:
    """The upload folders of all users.

    Parameters
    ----------
    base
        Path of the WebDAV server in addresses.
    """

    def __init__(self, state: State, base: str) -> None:
        self._state, self._base = state, base
        self._targets: dict[Path, Path] = {}

    def handle(self, request: Request, user: str, path: str) -> Reply | None:
        """Answer a request about an upload folder; None if it is for the WebDAV server."""
        folder, _, name = path.strip("/").partition("/")
        place = self._state.uploads(user) / folder
        match request.method:
            case "MKCOL" if not name:
                return self._begin(request, user, place)
            case "PUT":
                return self._put(request, user, place, name)
            case "MOVE" if name == ".file":
                return self._assemble(request, user, place)
            case "GET" | "HEAD":
                raise Refused(403, "Chunks cannot be downloaded")
        return None

    def expire(self) -> None:
        """Remove all upload folders, as the server does after a day."""
        with self._state.lock:
            for user in self._state.users:
                for folder in self._state.uploads(user).iterdir():
                    shutil.rmtree(folder)

    def _begin(self, request: Request, user: str, place: Path) -> Reply:
        with self._state.lock:
            if place.exists():
                raise Refused(405, "The resource you tried to create already exists")
            if request.header("Destination"):
                self._targets[place] = self._target(request, user)
            place.mkdir()
            (place / ".file").touch()
        return Reply(201)

    def _put(self, request: Request, user: str, place: Path, name: str) -> Reply:
        if not place.is_dir():
            raise Refused(404, f"File with name {place.name} could not be located")
        if self._state.forgets_uploads:
            raise Refused(412, "Missing metadata for chunked upload: the cache does not hold that of earlier requests.")
        if request.header("OC-Total-Length") and request.header("Destination"):
            target = self._target(request, user)
            if not target.parent.is_dir():  # whose quota it would check
                raise Refused(404, f"File with name {target.parent.name} could not be located")
        if place in self._targets:
            self._check_second(request, user, place)
            if re.fullmatch(r"\d+", name) is None or not 1 <= int(name) <= _MOST:
                raise Refused(400, f"Invalid chunk name, must be between 1 and {_MOST}")
            if request.length > self._state.largest:
                raise Refused(400, "Chunk is too large")
        if total := request.header("OC-Total-Length"):
            check_quota(self._state, user, int(total))
        received = receive(self._state, request)
        with self._state.lock:
            if not place.is_dir():
                received.unlink()
                raise Refused(404, f"File with name {place.name} could not be located")
            received.replace(place / name)
            return Reply(201, {"ETag": f'"{etag_of(place / name)}"'})

    def _assemble(self, request: Request, user: str, place: Path) -> Reply:
        with self._state.lock:
            target = self._target(request, user)
            check_replaced(request, target)  # before it looks for the upload folder
            if not place.is_dir():
                raise Refused(404, f"File with name {place.name} could not be located")
            if place in self._targets:
                self._check_second(request, user, place)
            chunks = sorted((one for one in place.iterdir() if one.name != ".file"), key=lambda one: one.name)
            self._check_chunks(request, place, chunks)
            check_name(target.name)
            check_unlocked(self._state, user, target)
            check_quota(self._state, user, sum(one.stat().st_size for one in chunks), target)
            whole = self._state.root / f"{uuid.uuid4()}.part"
            with whole.open("wb") as stream:
                for chunk in chunks:
                    with chunk.open("rb") as part:
                        shutil.copyfileobj(part, stream, 2**20)
            reply = publish(self._state, request, whole, target)
            shutil.rmtree(place)
            self._targets.pop(place, None)
            return reply

    def _check_second(self, request: Request, user: str, place: Path) -> None:
        if not request.header("Destination"):
            raise Refused(400, "Missing Destination header")
        if self._target(request, user) != self._targets[place]:
            raise Refused(400, "The destination differs from that of the upload folder")

    def _check_chunks(self, request: Request, place: Path, chunks: list[Path]) -> None:
        size = 0 if self._state.forgets_uploads else sum(one.stat().st_size for one in chunks)
        total = request.header("OC-Total-Length")
        if total and int(total) != size:
            raise Refused(400, f"Chunks on server do not sum up to {total} but to {size} bytes")
        if place in self._targets and any(one.stat().st_size < self._state.smallest for one in chunks[:-1]):
            raise Refused(400, f"Every chunk but the last must have at least {self._state.smallest} bytes")

    def _target(self, request: Request, user: str) -> Path:
        path = unquote(urlsplit(request.header("Destination")).path)
        root = f"{self._base}/files/{user}/"
        if not path.startswith(root):
            raise Refused(400, f"The destination is not below {root}")
        return self._state.file(user, path.removeprefix(root))


def check_replaced(request: Request, target: Path) -> None:
    """Check the headers If and Overwrite of a MOVE, and that it has a folder to go to."""
    condition = re.fullmatch(r'\s*<[^>]+>\s*\(\[("[^"]+")\]\)\s*', request.header("If"))
    if condition and not target.exists():
        raise Refused(404, f"File with name {target.name} could not be located")
    if condition and condition[1] != f'"{etag_of(target)}"':
        raise Refused(412, f"Failed to find a valid token/etag combination for {target.name}")
    if not target.parent.is_dir():
        raise Refused(409, "The destination node is not found")
    if request.header("Overwrite").upper() == "F" and target.exists():
        raise Refused(412, "The destination node already exists, and the overwrite header is set to false")
