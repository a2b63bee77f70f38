"""Simulated telescope, dome and focuser: movements take time and can fail.

The camera is in `gozen.simulator.devices.film_camera`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gozen.errors import BadRequest, DeviceFailed
from gozen.resources.recipe_steps import Pointing

Clock = Callable[[], float]
"""A monotonic clock, seconds."""

SLEW_S, COVER_S, FOCUS_S, SLIT_S = 5.0, 3.0, 2.0, 10.0
VERBS = ("telescope.point", "telescope.mirror_cover", "focuser.move", "dome.slit", "camera.configure", "camera.expose")


@dataclass
class Faults:
    """The calls of simulated devices that fail on purpose.

    Parameters
    ----------
    words
        The calls, each one of `VERBS`: ``focuser.move`` fails every time, ``camera.expose@2`` only the second time.

    Raises
    ------
    BadRequest
        A word is not valid.
    """

    words: tuple[str, ...] = ()
    _calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for word in self.words:
            verb, has_number, number = word.partition("@")
            if verb not in VERBS or (has_number and not (number.isdecimal() and int(number))):
                raise BadRequest(
                    f"setting observatory.faults: {word!r} is not one of {', '.join(VERBS)}; append @2 for a "
                    f"fault at the second call, as in {VERBS[0]}@2"
                )

    def check(self, verb: str) -> None:
        """Count a call, and fail if it is in the list of faults.

        Raises
        ------
        DeviceFailed
            The call is in the list.
        """
        self._calls[verb] += 1
        if verb in self.words or f"{verb}@{self._calls[verb]}" in self.words:
            raise DeviceFailed(f"{verb} failed, because the setting observatory.faults requests it")


class TimedMotion:
    """A device whose movements take time.

    Parameters
    ----------
    clock
        Monotonic clock, seconds.
    speed_up
        Factor by which movements are faster than real ones.
    """

    def __init__(self, clock: Clock, speed_up: float) -> None:
        self._clock, self._speed_up = clock, speed_up
        self._ends = clock()

    def begin(self, duration_s: float) -> None:
        """Start a movement of this duration, before the speed-up."""
        self._ends = self._clock() + duration_s / self._speed_up

    def busy(self) -> bool:
        """Tell whether the device is moving."""
        return self._clock() < self._ends

    def stop(self) -> None:
        """End the movement at once, as if the device had reached its target."""
        self._ends = self._clock()


class SimulatedTelescope(TimedMotion):
    """A mount that reaches any field within seconds, and a mirror cover."""

    def __init__(self, clock: Clock, speed_up: float, faults: Faults) -> None:
        super().__init__(clock, speed_up)
        self._faults = faults
        self._pointing: Pointing | None = None
        self._cover: Literal["open", "close"] = "close"

    def point(self, pointing: Pointing) -> None:
        """Slew to a field and track it."""
        self._faults.check("telescope.point")
        if pointing != self._pointing:
            self._pointing = pointing
            self.begin(SLEW_S)

    def where(self) -> Pointing | None:
        """Return the latest commanded pointing; None before the first."""
        return self._pointing

    def mirror_cover(self, state: Literal["open", "close"]) -> None:
        """Open or close the mirror cover."""
        self._faults.check("telescope.mirror_cover")
        if state != self._cover:
            self._cover = state
            self.begin(COVER_S)

    def conditions(self) -> Mapping[str, bool]:
        """Return the states of cover and tracking; all are False during a movement."""
        still = not self.busy()
        return {
            "mirrorcover_open": still and self._cover == "open",
            "mirrorcover_closed": still and self._cover == "close",
            "tracking": still and self._pointing is not None,
        }


class SimulatedDome(TimedMotion):
    """A dome whose slit opens and closes within seconds."""

    def __init__(self, clock: Clock, speed_up: float, faults: Faults, *, is_open: bool) -> None:
        super().__init__(clock, speed_up)
        self._faults = faults
        self._slit: Literal["open", "close"] = "open" if is_open else "close"

    def slit(self, state: Literal["open", "close"]) -> None:
        """Open or close the slit."""
        self._faults.check("dome.slit")
        if state != self._slit:
            self._slit = state
            self.begin(SLIT_S)

    def conditions(self) -> Mapping[str, bool]:
        """Return the state of the slit: neither open nor closed during a movement."""
        still = not self.busy()
        return {
            "domeslit_open": still and self._slit == "open",
            "domeslit_closed": still and self._slit == "close",
        }


class SimulatedFocuser(TimedMotion):
    """A focuser that reaches any position within seconds."""

    def __init__(self, clock: Clock, speed_up: float, faults: Faults) -> None:
        super().__init__(clock, speed_up)
        self._faults = faults
        self._position_mm: float | None = None

    def move(self, position_mm: float) -> None:
        """Move to a position, mm."""
        self._faults.check("focuser.move")
        if position_mm != self._position_mm:
            self._position_mm = position_mm
            self.begin(FOCUS_S)

    def position(self) -> float | None:
        """Return the latest commanded position, mm; None before the first."""
        return self._position_mm

    def conditions(self) -> Mapping[str, bool]:
        """Return an empty mapping: a focuser has no condition for which a recipe may wait."""
        return {}
