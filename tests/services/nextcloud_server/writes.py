"""Uploads in one request, and the checks of every write: locks, conditions, quota, length of the body."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from .http import INVALID_PATH, Refused, Reply, Request
from .state import State, etag_of

_BLOCK = 2**16
_RESERVED = ".htaccess"
_OF_PARTS = (".part", ".filepart")


def put_file(state: State, request: Request, user: str, path: str) -> Reply:
    """Write a file."""
    target = state.file(user, path)
    check_name(target.name)
    if not target.parent.is_dir():
        raise Refused(409, "Files can only be created in existing collections")
    if target.is_dir():
        raise Refused(409, "PUT is not allowed on non-files.")
    with state.lock:
        check_unlocked(state, user, target)
        check_conditions(request, target)
        check_quota(state, user, request.length, target)
    received = receive(state, request)
    try:
        with state.lock:
            check_conditions(request, target)  # again: another client may have been faster
            return publish(state, request, received, target)
    finally:
        received.unlink(missing_ok=True)


def receive(state: State, request: Request) -> Path:
    """Store the body of a request under a temporary name; refuse it if it is not complete."""
    partial = state.root / f"{uuid.uuid4()}.part"
    count = 0
    with partial.open("wb") as stream:
        while count < request.length and (data := request.body.read(min(_BLOCK, request.length - count))):
            stream.write(data)
            count += len(data)
    if count != request.length:
        partial.unlink()
        raise Refused(400, f"Expected filesize of {request.length} bytes but read and wrote {count} bytes.")
    return partial


def publish(state: State, request: Request, received: Path, target: Path) -> Reply:
    """Give a complete file its name, time and checksum."""
    is_new = not target.exists()
    before = "" if is_new else state.checksum(target)
    accepted = {}
    mtime = request.header("X-OC-Mtime")
    if mtime:
        os.utime(received, (int(mtime), int(mtime)))
        accepted["X-OC-MTime"] = "accepted"
    received.replace(target)
    if mtime and int(mtime) <= 86_400:
        raise Refused(500, f'X-OC-MTime header must be a timestamp after the first day of 1970, got "{mtime}".')
    checksum = request.header("OC-Checksum")
    if request.method == "MOVE" and state.ignores_checksums:
        checksum = before
    if checksum:
        state.set_checksum(target, checksum)
    if wanted := request.header("X-Hash"):
        with target.open("rb") as stream:
            accepted[f"X-Hash-{wanted.upper()}"] = hashlib.file_digest(stream, wanted.lower()).hexdigest()
    etag = f'"{etag_of(target)}"'
    if state.is_brief:
        return Reply(201 if is_new else 204)
    return Reply(
        201 if is_new else 204,
        {"ETag": etag, "OC-ETag": etag, "OC-FileId": f"{target.stat().st_ino:08d}oc", **accepted},
    )


def compute_checksum(state: State, request: Request, file: Path) -> Reply:
    """Compute the checksum of a file and keep it."""
    if not file.is_file():
        raise Refused(404, f"File with name {file.name} could not be located")
    wanted = request.header("X-Recalculate-Hash").lower()
    with file.open("rb") as stream:
        text = f"{wanted.upper()}:{hashlib.file_digest(stream, wanted).hexdigest()}"
    state.set_checksum(file, text)
    return Reply(204, {"OC-Checksum": text})


def check_name(name: str) -> None:
    """Refuse names that Nextcloud does not accept."""
    if "\\" in name or any(ord(one) < 32 for one in name):
        raise Refused(400, "File name contains at least one invalid character", exception=INVALID_PATH)
    if name.lower() == _RESERVED:
        raise Refused(400, f'"{name}" is a forbidden file or folder name.', exception=INVALID_PATH)
    if name.lower().endswith(_OF_PARTS):
        raise Refused(400, f'"{Path(name).suffix}" is a forbidden file type.', exception=INVALID_PATH)
    if len(name.encode()) > 250:  # a column of its list of files has this width
        raise Refused(400, "Filename is too long", exception=INVALID_PATH)


def check_unlocked(state: State, user: str, file: Path) -> None:
    """Refuse to change what another client has locked."""
    if state.is_locked(user, file):
        raise Refused(423, f'"files/{user}/{file.name}" is locked')


def check_conditions(request: Request, target: Path) -> None:
    """Check If-Match and If-None-Match."""
    etag = f'"{etag_of(target)}"' if target.exists() else None
    wanted = request.header("If-Match")
    if wanted and (etag is None or wanted not in ("*", etag)):
        raise Refused(412, "An If-Match header was specified, but none of the specified ETags matched.")
    if request.header("If-None-Match") == "*" and etag is not None:
        raise Refused(412, "An If-None-Match header was specified, and the resource exists")


def check_quota(state: State, user: str, size: int, target: Path | None = None) -> None:
    """Refuse what does not fit."""
    free = state.free(user)
    if free is not None and target is not None and target.is_file():
        free += target.stat().st_size
    if free is not None and size > free:
        raise Refused(507, f"Insufficient space in /, {size} required, {max(free, 0)} available")
