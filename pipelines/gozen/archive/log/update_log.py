"""Update the observation log after a step: the same rule for masters, reductions, appends and `gozen watch`."""

from __future__ import annotations

from collections.abc import Iterable

from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.stores.open_store import Store


def update_log(store: Store, nights: Iterable[str], *, divided: bool = False) -> None:
    """Rebuild the log of some nights, after a step that wrote their commits or rows.

    Raises the errors of `rebuild_night`. Every step calls this at its end. With ``divided`` nothing is rebuilt: each
    process reduces only some of the sensors, but would rebuild the log of the complete night. The append that follows
    rebuilds it once.

    Parameters
    ----------
    nights
        Nights to which the step wrote; each is rebuilt once.
    divided
        Whether the step is divided among several processes, of which this is one.
    """
    for night in () if divided else sorted(set(nights)):
        rebuild_night(store, night)
