"""The reports of a running transfer; a caller overrides some methods of `Progress` to show them."""

from __future__ import annotations

from gozen.sharing.transfers.outcomes import FileOutcome


class Progress:
    """Receives reports, from several threads; this one ignores them."""

    def found(self, size: int) -> None:
        """A file was found, with its size in bytes."""

    def moved(self, size: int) -> None:
        """Some bytes were transferred; a negative number means that these bytes will be transferred again."""

    def finished(self, outcome: FileOutcome) -> None:
        """One file has ended."""
