"""Define the interfaces of telescope, dome, focuser and camera, and load a site's driver.

A driver is an entry point of the group ``gozen.drivers``: a function of settings, instrument profile and archive that
returns an `Observatory`. Methods start an action and return at once; `busy` is True until the action is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Literal, Protocol

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, GozenError
from gozen.instrument.profile import Profile
from gozen.resources.pipeline_names import PipelineName
from gozen.resources.recipe_steps import DataType, Pointing
from gozen.settings import Settings

GROUP = "gozen.drivers"


class Device(Protocol):
    """A device that moves. A method raises `DeviceFailed` if the device refuses; methods are idempotent."""

    def busy(self) -> bool:
        """Return whether the device is still moving; raise `DeviceFailed` if the movement has failed."""

    def stop(self) -> None:
        """Stop moving, as soon as that is safe."""

    def conditions(self) -> Mapping[str, bool]:
        """Return whether each condition is true, by the names that recipes use, such as ``domeslit_open``."""


class Telescope(Device, Protocol):
    """The mount and the mirror cover. Conditions: ``mirrorcover_open``, ``mirrorcover_closed``, ``tracking``."""

    def point(self, pointing: Pointing) -> None:
        """Slew to a field and track it. A driver may use an offset for a short distance, if this is more accurate."""

    def where(self) -> Pointing | None:
        """Return the pointing that the telescope reports; None before the first pointing."""

    def mirror_cover(self, state: Literal["open", "close"]) -> None:
        """Open or close the mirror cover."""


class Dome(Device, Protocol):
    """The dome. Conditions: ``domeslit_open``, ``domeslit_closed``."""

    def slit(self, state: Literal["open", "close"]) -> None:
        """Open or close the slit. No step of a recipe calls this: the operators decide, by the weather."""


class Focuser(Device, Protocol):
    """The focuser, which moves along the optical axis."""

    def move(self, position_mm: float) -> None:
        """Move to a position, mm."""

    def position(self) -> float | None:
        """Return the position, mm; None if it is not known."""


@dataclass(frozen=True)
class ExposureOrder:
    """The order for one exposure that the camera receives.

    Parameters
    ----------
    night, start
        Night ``YYYYMMDD``, and the moment at which the shutter opens, UTC.
    pointing
        The pointing that the telescope reports; None for a dark or flat before any pointing.
    tinteg_sec
        Integration time of one frame, s.
    sensors
        All sensors to expose, as the profile names them.
    observer, project
        Texts for the header.
    """

    exposure_id: int
    night: str
    start: datetime
    object: str
    data_type: DataType
    pointing: Pointing | None
    nframe: int
    tinteg_sec: float
    gain: str
    sensors: tuple[str, ...]
    pipelines: tuple[PipelineName, ...] = ()
    observer: str = ""
    project: str = ""

    @property
    def duration_s(self) -> float:
        """Duration of all frames, s."""
        return self.nframe * self.tinteg_sec

    @property
    def exposure(self) -> str:
        """The exposure's name in the archive."""
        return f"{self.exposure_id:08d}"


@dataclass(frozen=True)
class CameraState:
    """The state of a camera.

    Parameters
    ----------
    phase
        ``exposing`` until all files are written; ``done`` or ``failed`` after an exposure, until the next one.
    exposure_id
        EXP_ID of the present or last exposure; None if there was none yet.
    remaining_s
        Time until the exposure is done, s.
    message
        Why the exposure failed.
    """

    phase: Literal["idle", "exposing", "done", "failed"] = "idle"
    exposure_id: int | None = None
    remaining_s: float = 0.0
    message: str = ""


class Camera(Protocol):
    """The camera. It writes the raw files ``raw/{night}/{exposure}/{frame_id}.fits``, and then ``exposure.json``."""

    def configure(self, order: ExposureOrder) -> None:
        """Set gain, integration time and all else that an exposure needs; raise `DeviceFailed` if this fails."""

    def expose(self, order: ExposureOrder) -> None:
        """Open the shutter and return at once; the exposure continues in the background."""

    def state(self) -> CameraState:
        """Return the camera's state, which survives a restart of the observer if the camera is another process."""

    def abort(self) -> None:
        """Stop a running exposure without a record; do nothing if none is running."""


@dataclass(frozen=True)
class Observatory:
    """The devices of one telescope."""

    telescope: Telescope
    dome: Dome
    focuser: Focuser
    camera: Camera

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices that move."""
        return self.telescope, self.dome, self.focuser

    def conditions(self) -> dict[str, bool]:
        """Return whether each condition of recipes is true: ``pointing``, and the conditions that the devices report.

        ``pointing`` is true if the telescope has a pointing and does not move. Drivers need not report it.
        """
        own = {"pointing": self.telescope.where() is not None and not self.telescope.busy()}
        return own | {word: holds for device in self.devices for word, holds in device.conditions().items()}

    def busy(self) -> bool:
        """Return whether any device is moving."""
        return any(device.busy() for device in self.devices)


Driver = Callable[[Settings, Profile, Store], Observatory]


def load_observatory(settings: Settings, profile: Profile, store: Store) -> Observatory:
    """Return the devices of the driver in the setting ``observatory.driver``.

    Raises
    ------
    BadRequest
        There is no such driver, it cannot be loaded, or it does not return an `Observatory`.
    DeviceFailed
        A device does not answer.
    """
    name = settings.observatory.driver
    entries = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none; install Gozen again, or the package that contains the driver"
        raise BadRequest(
            f"setting observatory.driver = {name!r}: no such driver is installed; the installed drivers are {known}"
        )
    try:
        driver: Driver = entries[name].load()
    except Exception as error:
        raise BadRequest(
            f"the driver {name!r} ({entries[name].value}) cannot be loaded: {error}; install or correct it"
        ) from error
    try:
        observatory = driver(settings, profile, store)
    except GozenError:
        raise
    except Exception as error:
        raise BadRequest(
            f"the driver {name!r} does not start: {type(error).__name__}: {error}; check its devices and settings"
        ) from error
    if not isinstance(observatory, Observatory):
        raise BadRequest(
            f"the driver {name!r} returned {type(observatory).__name__}, not an Observatory; correct the driver"
        )
    return observatory
