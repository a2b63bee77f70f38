"""What a transfer reports while it runs; a caller passes an object with some of these methods changed."""

from __future__ import annotations

from gozen.sharing.transfers.outcomes import FileOutcome


class Progress:
    """Receives reports, from several threads; this one ignores them."""

    def found(self, size: int) -> None:
        """A file was found, with its size in bytes."""

    def moved(self, size: int) -> None:
        """Bytes were transferred; a negative number is to be subtracted, because they are transferred again."""

    def finished(self, outcome: FileOutcome) -> None:
        """One file has ended."""
