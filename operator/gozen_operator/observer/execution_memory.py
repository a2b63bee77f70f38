"""The memory of an observer process about its Observation; if lost, devices move again, but no data are lost.

The race: a process can be killed between any two actions, and an earlier process may have opened a shutter. So the
archive is read first for the steps in `unsettled`; nothing here alone proves that an exposure was taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from gozen.errors import DeviceFailed, GozenError
from gozen.resources.observation import Observation
from gozen_operator.observer.observation_steps import Recipe, next_step
from gozen_operator.observer.situation import Failure, Moving

log = logging.getLogger(__name__)


@dataclass
class Work:
    """An Observation in execution.

    Parameters
    ----------
    observation
        The Observation as it was last read.
    night_ends
        End of the night in which it was claimed.
    renewed
        Time of the last renewal of the claim.
    unsettled
        Exposure steps to look up in the archive first: an earlier process may have opened the shutter for them.
    done
        Exposure steps whose Exposures exist.
    executed
        Other steps that this process has done.
    moving, failure
        The device step in progress, and the step that has failed.
    busy_since
        When a device was first seen to move; None when no device moves.
    began
        EXP_ID for which this process last opened the shutter.
    said
        The last message that was written into its status.
    is_over
        Whether this process has ended the Observation or left it to another one.
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
    is_over: bool = False

    @property
    def name(self) -> str:
        """Name of the Observation."""
        return self.observation.metadata.name

    @property
    def coming(self) -> int:
        """The step that is executed now or next; an error of a device is reported for this step."""
        step = self.unsettled[0] if self.unsettled else next_step(self.recipe, self.done, self.executed)
        return step or self.recipe.steps

    @contextmanager
    def device(self, step: int) -> Iterator[None]:
        """Record an error of a device that occurs within this context; the error cancels the recipe."""
        try:
            yield
        except Exception as error:
            known = error if isinstance(error, GozenError) else DeviceFailed(f"{type(error).__name__}: {error}")
            log.warning("%s: %s: %s", self.name, known.name, known)
            self.failure = self.failure or Failure(step, f"{known.name}: {known}")
