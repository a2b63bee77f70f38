"""A change to an exposure's record, and the note that a process writes while it makes it. No access to the archive."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gozen.archive.raw.raw_exposure import Forgotten, RawExposure, merge_records, parse_record, without
from gozen.archive.stores.partial_files import is_alive, this_machine

_OVER = timedelta(days=1)
"""Age of a note after which its process counts as ended, even on another machine: a change takes seconds."""


@dataclass(frozen=True)
class RecordChange:
    """A change to a record; applying it twice has the same effect as applying it once.

    Parameters
    ----------
    leave
        Keys of files to remove from the record without a trace, for example because they were renamed.
    forgotten, recalled
        Entries to add for files that are removed from the archive, and earlier such entries to delete.
    add
        A record with the files to add.
    """

    leave: tuple[str, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()
    recalled: tuple[Forgotten, ...] = ()
    add: RawExposure | None = None


def applied(record: RawExposure, change: RecordChange) -> RawExposure:
    """Return a copy of the raw record with this change."""
    kept = tuple(one for one in record.forgotten if one not in change.recalled)
    fresh = tuple(one for one in change.forgotten if one not in kept)
    left = without(record, {*change.leave, *(one.key for one in change.forgotten)})
    if change.leave and not left.sensors:
        left = RawExposure(record.night, record.exposure, "", "", 0.0)
    left = replace(left, forgotten=(*kept, *fresh))
    return left if change.add is None else merge_records(left, change.add)


@dataclass(frozen=True)
class Note:
    """A note of a change that a process is making.

    Parameters
    ----------
    machine, pid
        The process: its machine as named by `gozen.archive.stores.partial_files`, and its process id.
    since
        Time at which the note was written, with a time zone.
    is_ended
        Whether the process has finished and will not write the record for this change again.
    """

    change: RecordChange
    machine: str
    pid: int
    since: datetime
    is_ended: bool = field(default=False)

    def ended(self) -> Note:
        """Return a copy of the note with `is_ended` set."""
        return replace(self, is_ended=True)

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process wrote the note."""
        return self.machine == this_machine() and self.pid == os.getpid()

    def is_active(self, now: datetime) -> bool:
        """Tell whether the process may still write the record."""
        # `since` is from the writer's clock, which may be hours off: a day is long enough all the same.
        if self.is_ended or now - self.since > _OVER:
            return False
        # A process on another machine cannot be checked from here: its note counts until it is old.
        return self.machine != this_machine() or is_alive(self.pid)

    def to_json(self) -> bytes:
        """Return the note as JSON bytes."""
        change: dict[str, Any] = asdict(replace(self.change, add=None))
        if self.change.add is not None:
            change["add"] = json.loads(self.change.add.to_json())
        content = {"change": change, "machine": self.machine, "pid": self.pid, "since": self.since.isoformat()}
        return (json.dumps({**content, "is_ended": self.is_ended}, sort_keys=True, indent=1) + "\n").encode()


def new_note(change: RecordChange) -> Note:
    """Return a note that says that this process is about to make a change to the record of an exposure."""
    return Note(change, this_machine(), os.getpid(), datetime.now(UTC))


def parse_note(data: bytes) -> Note:
    """Return the note that was stored as these bytes; raise `ValueError` if they are not a valid note."""
    try:
        content: Mapping[str, Any] = json.loads(data)
        change = dict(content["change"])
        add = change.pop("add", None)
        parsed = RecordChange(
            tuple(change["leave"]),
            tuple(Forgotten(**one) for one in change["forgotten"]),
            tuple(Forgotten(**one) for one in change["recalled"]),
            None if add is None else parse_record(json.dumps(add).encode()),
        )
        since = datetime.fromisoformat(content["since"])
        return Note(parsed, content["machine"], content["pid"], since, content["is_ended"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
