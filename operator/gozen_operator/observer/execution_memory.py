"""What the observer's process remembers of the Observation that it executes; losing it costs movements, no data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from gozen.resources.observation import Observation
from gozen_operator.observer.observation_steps import Recipe, next_step
from gozen_operator.observer.situation import Failure, Moving


@dataclass
class Work:
    """An Observation in execution.

    Parameters
    ----------
    observation
        As it was read last.
    night_ends
        End of the night in which it was claimed.
    renewed
        When the claim was signed last.
    unsettled
        Exposure steps of which the archive has to be asked first: an earlier process may have opened their shutter.
    done
        Exposure steps whose Exposures exist.
    executed
        Other steps that this process has done.
    moving, failure
        The step that has been begun, and the one that cannot be done.
    busy_since
        Since when something has been seen to move; None when all stands still.
    began
        EXP_ID under which this process opened the shutter last.
    said
        Its last message.
    """

    recipe: Recipe
    observation: Observation
    uid: str
    night_ends: datetime
    renewed: datetime
    unsettled: list[int]
    done: set[int] = field(default_factory=set)
    executed: set[int] = field(default_factory=set)
    moving: Moving | None = None
    failure: Failure | None = None
    busy_since: datetime | None = None
    began: int | None = None
    said: str = ""

    @property
    def coming(self) -> int:
        """The step at which the recipe stands, for what goes wrong now."""
        step = self.unsettled[0] if self.unsettled else next_step(self.recipe, self.done, self.executed)
        return step or self.recipe.steps
