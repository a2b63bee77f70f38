"""What the two sides of a watch share: ingest and dispatch."""

from __future__ import annotations

from dataclasses import dataclass, field

from gozen.settings import WatchSettings
from gozen.watch.messages import Reporter
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import Cubes


@dataclass(frozen=True)
class WatchContext:
    """One watch.

    Parameters
    ----------
    orders
        What is asked of what comes.
    reporter
        Tells people and programs.
    cubes
        What the watch knows of: new ones are added, those that are done are removed.
    """

    settings: WatchSettings
    orders: Orders
    reporter: Reporter
    cubes: Cubes = field(default_factory=dict)
