"""Rebuild a night's observation log; the one rule for masters, reductions, appends and the watch."""

from __future__ import annotations

from collections.abc import Iterable

from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.stores.open_store import Store


def update_log(store: Store, nights: Iterable[str], *, divided: bool = False) -> None:
    """Rebuild the log of nights at the end of a step that wrote their commits or rows; raises as `rebuild_night`.

    Every step does so, except one that is divided among processes, each with a part of the sensors: every part would
    rebuild the log of the whole night. The append that comes after all parts rebuilds it.

    Parameters
    ----------
    nights
        Those that the step wrote to; each is rebuilt once.
    divided
        Whether this process does only a part of the step.
    """
    for night in () if divided else sorted(set(nights)):
        rebuild_night(store, night)
