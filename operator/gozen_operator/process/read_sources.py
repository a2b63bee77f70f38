"""Read archive, pod status and instrument profiles for a reconcile."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gozen.archive.commit import load_commit
from gozen.archive.keys import Processing
from gozen.archive.raw.exposure_record import read_record
from gozen.archive.raw.external_raw import files_of_sensors, open_outside, refusal
from gozen.archive.stores.store import Store
from gozen.errors import GozenError, StorageUnavailable, UnreadableInput
from gozen.instrument.profile import FOLDER, Profile, load_profile
from gozen.resources.exposure import Exposure
from gozen.settings import Settings
from gozen_operator.index.gather_facts import ArchiveAnswer
from gozen_operator.reconcile.facts import Commit, PodEnd, PublishResult, RequestProblem
from gozen_operator.reconcile.job_manifests import exposure_key

log = logging.getLogger(__name__)
_READERS = 16
_RESULT = re.compile(r"\{.*\}")
_INDEX = "batch.kubernetes.io/job-completion-index"
_NO_SUCH_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def profile_of(name: str) -> Profile | RequestProblem:
    """Return an instrument profile, or the reason why it does not exist.

    Raises
    ------
    StorageUnavailable
        The profile cannot be read now. The caller must try again, and must not refuse the request.
    """
    try:
        return _profile(name, _version_of(name))
    except OSError as error:
        raise StorageUnavailable(
            f"the instrument profile {name!r} cannot be read now: {error}; the operator tries again"
        ) from error
    except GozenError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and not isinstance(cause, _NO_SUCH_FILE):
            raise StorageUnavailable(str(error)) from error
        return RequestProblem("UnknownInstrument", f"spec.instrument: {error}")


@functools.lru_cache
def _profile(name: str, version: tuple[int, int, int] | None) -> Profile:  # noqa: ARG001 - part of the cache's key
    return load_profile(name)


def _version_of(name: str) -> tuple[int, int, int] | None:
    """Return a value that changes when a ConfigMap replaces a site's profile; None for a profile of Gozen."""
    folder = os.environ.get(FOLDER)
    try:
        found = (Path(folder) / f"{name}.yaml").stat() if folder else None
    except _NO_SUCH_FILE:
        return None
    # An update of a ConfigMap swaps a symlink: the inode changes even where time and size do not.
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None


def profile_for(exposure: Exposure, site: Settings) -> Profile | RequestProblem:
    """Return the instrument profile of an Exposure, or why the site cannot serve its request."""
    profile = profile_of(exposure.spec.instrument)
    url = exposure.spec.raw_url
    problem = refusal(url, site.raw_url_prefixes) if url is not None else None
    if problem is None or isinstance(profile, RequestProblem):
        return profile
    return RequestProblem("RawURLNotAllowed", f"spec.rawURL: {problem}")


class ReopenedArchive:
    """The archive of the site, opened at the first request and again after each failure.

    Parameters
    ----------
    open_archive
        Opens the archive.
    """

    def __init__(self, open_archive: Callable[[], Store], site: Settings) -> None:
        self._open, self._site = open_archive, site
        self._store: Store | None = None

    def answer(self, exposure: Exposure) -> ArchiveAnswer:
        """Return the same as `ask_archive`; any error becomes an answer with `trouble`."""
        try:
            # A name of its own: another worker whose request fails sets the attribute to None at any moment.
            self._store = store = self._store or self._open()
            return ask_archive(store, exposure, self._site)
        except Exception as error:
            # A client with stale credentials or a dead connection would fail at each later request too.
            self._store = None
            log.warning("the archive cannot be read: %s", error)
            return ArchiveAnswer(trouble=f"{type(error).__name__}: {error}")


def ask_archive(store: Store, exposure: Exposure, site: Settings) -> ArchiveAnswer:
    """Return the sensors whose raw data exist, and the commits; a storage error becomes an answer with `trouble`."""
    if exposure.spec.night is None or exposure.spec.exposure_id is None:
        return ArchiveAnswer()
    try:
        return ArchiveAnswer(_raw(store, exposure, site), _commits(store, exposure))
    except (StorageUnavailable, UnreadableInput) as error:
        return ArchiveAnswer(trouble=str(error))


def _raw(store: Store, exposure: Exposure, site: Settings) -> frozenset[str]:
    if exposure.spec.raw_url is not None:
        profile = profile_for(exposure, site)
        if isinstance(profile, RequestProblem):
            return frozenset()
        return frozenset(files_of_sensors(open_outside(exposure.spec.raw_url, site), profile))
    record = read_record(store, str(exposure.spec.night), exposure_key(exposure))
    return frozenset(record.sensors) if record is not None else frozenset()


def _commits(store: Store, exposure: Exposure) -> Mapping[str, Commit]:
    run = exposure.spec.run if exposure.spec.data_type == "OBJECT" else "r1"
    processing = Processing(str(exposure.spec.night), exposure_key(exposure), run)
    found = [key for key in store.list(f"exposures/{processing.folder}") if key.endswith(".json")]
    if not found:
        return {}
    with ThreadPoolExecutor(min(_READERS, len(found))) as readers:
        commits = [
            Commit.of(one) for one in readers.map(functools.partial(load_commit, store), found) if one is not None
        ]
    return {one.sensor: one for one in commits}


def pod_end(pod: Mapping[str, Any]) -> PodEnd | None:
    """Return how a pod failed; None for one that runs or succeeded."""
    status = pod.get("status") or {}
    if status.get("phase") != "Failed":
        return None
    ended: Mapping[str, Any] = {}
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or ended
    index = int((pod["metadata"].get("annotations") or {}).get(_INDEX, 0))
    reason = ended.get("reason") or status.get("reason") or ""
    return PodEnd(index, ended.get("exitCode"), reason, ended.get("message") or status.get("message") or "")


def pod_ends(pods: Sequence[Mapping[str, Any]]) -> list[PodEnd]:
    """Return how the failed pods of a Job ended, in order of creation."""
    return [end for end in map(pod_end, sorted(pods, key=_created)) if end is not None]


def _created(pod: Mapping[str, Any]) -> str:
    return str((pod.get("metadata") or {}).get("creationTimestamp") or "")


def result_of(pods: Sequence[Mapping[str, Any]]) -> Mapping[str, int] | None:
    """Return the termination message of the pod that succeeded: numbers by name; None if there is no such message."""
    for text in _messages(pods):
        said = _RESULT.search(text)
        found = _numbers(said.group()) if said else None
        if found is not None:
            return found
    return None


def published_by(pods: Sequence[Mapping[str, Any]]) -> PublishResult | None:
    """Return the report of a pod that publishes or removes; None if no termination message has one.

    If none has succeeded, it is that of the newest pod. The report is the first line. An error may follow it, for
    example if a link was made but a user was refused.
    """
    newest_first = sorted(pods, key=_created, reverse=True)
    for text in (*_messages(newest_first), *_messages(newest_first, failed=True)):
        try:
            return _report(json.loads(text.partition("\n")[0]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return None


def _report(said: Mapping[str, Any]) -> PublishResult:
    """Return a report; pods of an earlier version give fewer fields."""
    return PublishResult(
        folder=str(said["folder"]),
        link=str(said["link"]),
        files=int(said["files"]),
        kept=int(said.get("kept", 0)),
        found=bool(said.get("found", True)),
        removed=int(said.get("removed", 0)),
        withdrawn=int(said.get("withdrawn", 0)),
        retained=tuple(map(str, said.get("retained", ()))),
        settled=said.get("settled") is True,
    )


def _messages(pods: Sequence[Mapping[str, Any]], *, failed: bool = False) -> Iterator[str]:
    """Yield the termination messages of pods that succeeded, or of those that failed."""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (container.get("state") or {}).get("terminated") or {}
            if "exitCode" in ended and (ended["exitCode"] != 0) == failed:
                yield ended.get("message") or ""


def _numbers(text: str) -> Mapping[str, int] | None:
    """Return numbers by name; None for a truncated termination message, which is not an error."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return {word: value for word, value in found.items() if type(value) is int and value >= 0}
