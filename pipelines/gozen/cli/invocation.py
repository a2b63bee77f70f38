"""Hold the global options of a call, and load the settings and open the archive with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.archive.stores.open_store import Store
    from gozen.settings import Settings

GLOBAL_OPTIONS = {"--archive": 1, "--config": 1, "--debug": 0}
"""Options that are valid anywhere on the command line, and the number of values that each takes."""

MAY_BE_EMPTY = ("--filter", "--object", "--project", "--why")
"""Options for which an empty text is a value: headers may lack these texts."""


@dataclass(frozen=True)
class Invocation:
    """The global options of one call of ``gozen``."""

    archive: str | None = None
    config: Path | None = None
    debug: bool = False

    def flags(self, **flags: Any) -> dict[str, Any]:
        """Return the settings that are given by flags, including the global options."""
        return {"archive": self.archive, **flags}

    def settings(self, **flags: Any) -> Settings:
        """Return the settings; flags of the subcommand that are not None override them."""
        from gozen.settings import load_settings, settings_file

        with settings_file(self.config):
            return load_settings(**self.flags(**flags))

    def store(self, *, may_be_new: bool = False) -> Store:
        """Open the archive.

        Parameters
        ----------
        may_be_new
            Whether the subcommand makes an archive that does not exist.

        Raises
        ------
        BadRequest
            There is no such archive.
        """
        from gozen.archive.stores.open_store import open_archive, require_present

        store = open_archive(self.settings())
        return store if may_be_new else require_present(store)


def invocation(ctx: typer.Context) -> Invocation:
    """Return the global options of this call."""
    found = ctx.find_object(Invocation)
    return found if found is not None else Invocation()


def hoist(args: list[str]) -> list[str]:
    """Move the global options to the front, so that they are also valid after the subcommand.

    Raises
    ------
    BadRequest
        A global option has no value (the next word is missing, empty or an option), or another argument is empty.
    """
    _check_not_empty(args)
    front: list[str] = []
    rest: list[str] = []
    place = 0
    while place < len(args):
        word = args[place]
        name, has_value, value = word.partition("=")
        if word == "--":
            return front + rest + args[place:]
        length = 1 if has_value else 1 + GLOBAL_OPTIONS.get(word, 0)
        if GLOBAL_OPTIONS.get(name):
            _check_value(name, [value] if has_value else args[place + 1 : place + length])
        (front if name in GLOBAL_OPTIONS else rest).extend(args[place : place + length])
        place += length
    return front + rest


def _check_not_empty(args: list[str]) -> None:
    # An empty path would be the current folder, and an empty night every night: mostly a variable that is not set.
    for before, word in zip(["", *args], args, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if equals and not value and option not in (*MAY_BE_EMPTY, *GLOBAL_OPTIONS):
            after = f" after {option}" if option else ""
            raise BadRequest(f"an argument is empty{after}; if it is a variable of the shell, check that it is set")


def _check_value(name: str, values: list[str]) -> None:
    # Without this check the parser would take the verb, or the next option, as the value.
    if not values or not values[0] or values[0].startswith("--"):
        raise BadRequest(f"the option {name} needs a value")
