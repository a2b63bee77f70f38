"""The outcome of each file of a transfer, as a table and as an error. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gozen.errors import GozenError, worst
from gozen.sharing.html_table import Table, size_text

_SHOWN = 100


class FileState(StrEnum):
    """The outcome of a file, in one or two words."""

    SENT = "sent"
    FETCHED = "fetched"
    EQUAL = "equal"
    LEFT_OUT = "left out"
    FAILED = "failed"


@dataclass(frozen=True)
class FileOutcome:
    """The outcome of one file, with a remark or an error.

    Parameters
    ----------
    path
        The file as the user knows it: on this machine for an upload, in Nextcloud for a download.
    remark
        What the user should know.
    error
        Why it failed.
    """

    path: str
    state: FileState
    size: int = 0
    remark: str = ""
    error: GozenError | None = None


@dataclass
class Transfers(Sequence[FileOutcome]):
    """The outcomes of all files of a transfer; notebooks show them as a table.

    Parameters
    ----------
    fatal
        The error that ended the transfer before all files were tried.
    """

    outcomes: list[FileOutcome] = field(default_factory=list)
    fatal: GozenError | None = None

    def __len__(self) -> int:
        return len(self.outcomes)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.outcomes[index]

    def __iter__(self) -> Iterator[FileOutcome]:
        return iter(self.outcomes)

    @property
    def failed(self) -> list[FileOutcome]:
        """The files that were not transferred although they should have been."""
        return [one for one in self.outcomes if one.state is FileState.FAILED]

    def counts(self) -> str:
        """Return how many files there are of each state, such as ``3 sent (2.1 MB), 1 equal``."""
        numbers = Counter(one.state for one in self.outcomes)
        moved = sum(one.size for one in self.outcomes if one.state in (FileState.SENT, FileState.FETCHED))
        words = [
            f"{numbers[state]} {state}"
            + (f" ({size_text(moved)})" if state in (FileState.SENT, FileState.FETCHED) else "")
            for state in FileState
            if numbers[state]
        ]
        return ", ".join(words) or "no files"

    def check(self) -> Transfers:
        """Return this object if all files were transferred.

        Raises
        ------
        GozenError
            The error of the file that failed; if there are several, the most important one, with their number.
        """
        chosen = self._most_important()
        if chosen is None:
            return self
        if len(self) == 1:
            raise chosen
        raise self.worst(f"{chosen} ({self.counts()})") from chosen

    def worst(self, message: str) -> GozenError:
        """Return an error of the same kind as the most important one, with another message."""
        chosen = self._most_important()
        return type(chosen)(message) if chosen is not None else GozenError(message)

    def _most_important(self) -> GozenError | None:
        errors = [one.error for one in self.failed if one.error is not None]
        code = worst([error.exit_code for error in errors])
        return self.fatal or next((error for error in errors if error.exit_code == code), None)

    def __repr__(self) -> str:
        return "\n".join([self.counts(), *(f"{one.path}: {one.state}{_why(one)}" for one in self._first())])

    def _repr_html_(self) -> str:
        table = Table(f"{self.counts()}{f'; {self.fatal}' if self.fatal else ''}", ("file", "state", "size", "remark"))
        for one in self._first():
            table.add(one.path, str(one.state), size_text(one.size), one.remark or str(one.error or ""))
        return table.html(len(self.outcomes))

    def _first(self) -> list[FileOutcome]:
        """Return the outcomes that are shown: problems first."""
        order = {FileState.FAILED: 0, FileState.LEFT_OUT: 1}
        return sorted(self.outcomes, key=lambda one: (order.get(one.state, 2), one.path))[:_SHOWN]


def _why(outcome: FileOutcome) -> str:
    text = outcome.remark or str(outcome.error or "")
    return f", {text}" if text else ""
