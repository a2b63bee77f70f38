"""Interfaces of telescope, dome, focuser and camera, and how a site's driver is found.

A driver is an entry point of the group ``gozen.drivers``: a function of settings, instrument profile and archive that
returns an `Observatory`. Verbs begin something and return; `busy` tells when it is done.
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
    """Something that moves. A verb raises `DeviceFailed` when the device refuses; giving it twice does no harm."""

    def busy(self) -> bool:
        """Tell whether it still moves; raises `DeviceFailed` when the movement has failed."""

    def stop(self) -> None:
        """Stop moving, as soon as that is safe."""

    def conditions(self) -> Mapping[str, bool]:
        """Return its states in the words of ``assert`` and ``wait``, such as ``domeslit_open``."""


class Telescope(Device, Protocol):
    """The mount and the mirror's cover. Conditions: ``mirrorcover_open``, ``mirrorcover_closed``, ``tracking``."""

    def point(self, pointing: Pointing) -> None:
        """Go to a field and track it; a telescope that offsets better than it points does a short way as an offset."""

    def where(self) -> Pointing | None:
        """Return where it says that it points; None before the first pointing."""

    def mirror_cover(self, state: Literal["open", "close"]) -> None:
        """Open or close the mirror's cover."""


class Dome(Device, Protocol):
    """The building. Conditions: ``domeslit_open``, ``domeslit_closed``."""

    def slit(self, state: Literal["open", "close"]) -> None:
        """Open or close the slit. No step of a recipe does: people and the weather decide."""


class Focuser(Device, Protocol):
    """What moves along the optical axis."""

    def move(self, position_mm: float) -> None:
        """Go to a position, mm."""

    def position(self) -> float | None:
        """Return the position, mm; None when it is not known."""


@dataclass(frozen=True)
class ExposureOrder:
    """One exposure as the camera gets it.

    Parameters
    ----------
    night, start
        ``YYYYMMDD`` and the moment at which the shutter opens, UTC.
    pointing
        Where the telescope says that it points; None for a dark or flat before any pointing.
    tinteg_sec
        Integration time of one frame, s.
    sensors
        As the profile names them; all that take part.
    observer, project
        For the header.
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
        """Time that the frames take, s."""
        return self.nframe * self.tinteg_sec

    @property
    def exposure(self) -> str:
        """The exposure's name in the archive."""
        return f"{self.exposure_id:08d}"


@dataclass(frozen=True)
class CameraState:
    """What a camera does.

    Parameters
    ----------
    phase
        ``exposing`` until everything is written; ``done`` or ``failed`` after an exposure, until the next.
    exposure_id
        Of the exposure that this is about; None when there was none yet.
    remaining_s
        Time until it is done, s.
    message
        Why it failed.
    """

    phase: Literal["idle", "exposing", "done", "failed"] = "idle"
    exposure_id: int | None = None
    remaining_s: float = 0.0
    message: str = ""


class Camera(Protocol):
    """The camera. It writes raw files ``raw/{night}/{exposure}/{frame_id}.fits``, and ``exposure.json`` after them."""

    def configure(self, order: ExposureOrder) -> None:
        """Set gain, integration time and whatever else an exposure needs; raises `DeviceFailed` if it cannot."""

    def expose(self, order: ExposureOrder) -> None:
        """Open the shutter and return; the exposure goes on by itself."""

    def state(self) -> CameraState:
        """Return what it does. A camera that outlives the observer's process still knows the exposure."""

    def abort(self) -> None:
        """End a running exposure without a record; none running is no error."""


@dataclass(frozen=True)
class Observatory:
    """The devices of one telescope."""

    telescope: Telescope
    dome: Dome
    focuser: Focuser
    camera: Camera

    @property
    def devices(self) -> tuple[Device, ...]:
        """Everything that moves."""
        return self.telescope, self.dome, self.focuser

    def conditions(self) -> dict[str, bool]:
        """Return all states that ``assert`` and ``wait`` may name."""
        return {word: holds for device in self.devices for word, holds in device.conditions().items()}

    def busy(self) -> bool:
        """Tell whether anything moves."""
        return any(device.busy() for device in self.devices)


Driver = Callable[[Settings, Profile, Store], Observatory]


def load_observatory(settings: Settings, profile: Profile, store: Store) -> Observatory:
    """Return the devices of the driver that ``observatory.driver`` names.

    Raises
    ------
    BadRequest
        There is no such driver, or it cannot be loaded, or makes no `Observatory`.
    DeviceFailed
        A device does not answer.
    """
    name = settings.observatory.driver
    entries = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none; install Gozen, or the package that has it"
        raise BadRequest(f"setting observatory.driver = {name!r}: there is no such driver; there is {known}")
    try:
        driver: Driver = entries[name].load()
    except Exception as error:
        raise BadRequest(f"the driver {name!r} ({entries[name].value}) cannot be loaded: {error}") from error
    try:
        observatory = driver(settings, profile, store)
    except GozenError:
        raise
    except Exception as error:
        raise BadRequest(f"the driver {name!r} does not start: {type(error).__name__}: {error}") from error
    if not isinstance(observatory, Observatory):
        raise BadRequest(f"the driver {name!r} made {type(observatory).__name__}, not an Observatory; correct it")
    return observatory
