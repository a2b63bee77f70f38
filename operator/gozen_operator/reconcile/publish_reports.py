"""What the report of a pod that publishes or removes means for status, condition and Events. No I/O."""

from __future__ import annotations

from typing import Any

from gozen.errors import CloudConflict
from gozen.resources.publish_request import PublishState
from gozen_operator.reconcile.conditions import LONGEST_MESSAGE, shortened
from gozen_operator.reconcile.facts import PublishResult
from gozen_operator.reconcile.reconcile_plan import Event


def published_message(found: PublishResult) -> str:
    """Return the message of the condition after a publication without an error."""
    parts = [_there(found)]
    parts += [f"{_number(found.removed, 'file')} removed"] if found.removed else []
    parts += [f"{_number(found.withdrawn, 'share')} withdrawn"] if found.withdrawn else []
    return "; ".join([*parts, *_kept(found), *found.retained])


def nevertheless(found: PublishResult | None, reason: str) -> str:
    """Return what exists although a publication failed, to be appended to the error; empty if nothing is known."""
    if found is None:
        return ""
    parts = [f"nevertheless published: {_there(found)}"] if found.files or found.link else []
    parts += [] if reason == CloudConflict.__name__ else _kept(found)  # that error names the files
    return "".join(f"; {one}" for one in (*parts, *found.retained))


def with_end(message: str, end: str) -> str:
    """Return a message that is short enough for a condition and keeps its end, which says what happens next."""
    return shortened(message, LONGEST_MESSAGE - len(end)) + end


def published_fields(found: PublishResult | None) -> dict[str, Any]:
    """Return the fields of the status that a report changes; a failed pod may have reported before it was done."""
    if found is None:
        return {}
    if found.settled:
        return {"folder": found.folder, "link": found.link, "files": found.files, "kept": found.kept}
    return {"folder": found.folder, "link": found.link} if found.link else {}


def removed_event(name: str, folder: str, state: PublishState, found: PublishResult | None) -> Event:
    """Return the Event about a removal without an error.

    Parameters
    ----------
    name, folder
        Name of the LightCurveJob, and its folder in Nextcloud.
    state
        What its status says about the publication.
    found
        The report of the pod; None if it gave none.
    """
    if found is not None and not found.found:
        return _no_note_event(name, folder, state)
    parts = [f"the files of {name} are removed from the folder {folder} of Nextcloud"]
    if found is None:
        return Event("Removed", parts[0])
    parts += [f"{_number(found.withdrawn, 'share')} withdrawn"] if found.withdrawn else []
    parts += [*_kept(found), *found.retained]
    return Event("Removed", "; ".join(parts), "Warning" if found.kept or found.retained else "Normal")


def _no_note_event(name: str, folder: str, state: PublishState) -> Event:
    if not (state.folder or state.files or state.link):
        return Event("NothingPublished", f"nothing of {name} was published in the folder {folder} of Nextcloud")
    message = (
        f"found no note of {name} in Nextcloud, so nothing more was removed; if files or shares of it are still in the "
        f"folder {folder}, remove them there"
    )
    return Event("NotRemoved", message, "Warning")


def _there(found: PublishResult) -> str:
    link = f", link {found.link}" if found.link else ""
    return f"{_number(found.files, 'file')} in the folder {found.folder}{link}"


def _kept(found: PublishResult) -> list[str]:
    them = "it" if found.kept == 1 else "them"
    return [f"{_number(found.kept, 'file')} kept, because somebody has changed {them}"] if found.kept else []


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
