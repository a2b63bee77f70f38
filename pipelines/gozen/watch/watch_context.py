"""The objects that ingest and dispatch of a watch share."""

from __future__ import annotations

from dataclasses import dataclass, field

from gozen.settings import WatchSettings
from gozen.watch.messages import Reporter
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import Cubes


@dataclass(frozen=True)
class WatchContext:
    """Settings, recipes, reporter and cubes of one watch.

    Parameters
    ----------
    orders
        The recipes: pipelines and priorities of new cubes.
    reporter
        Reports results, errors and the backlog.
    cubes
        All cubes of the watch: new ones are added, finished ones are removed.
    """

    settings: WatchSettings
    orders: Orders
    reporter: Reporter
    cubes: Cubes = field(default_factory=dict)
