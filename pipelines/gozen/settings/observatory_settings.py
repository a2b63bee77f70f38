"""Settings of telescope and camera, and of the observer process."""

from __future__ import annotations

from pydantic import Field

from gozen.settings.section import SettingsSection


class ObservatorySettings(SettingsSection):
    """Telescope and camera that the observer controls, and the behaviour of the simulated ones."""

    driver: str = Field("simulated", description="Name of an entry point of the group gozen.drivers")
    options: dict[str, str] = Field({}, description="Options for a driver that is not part of Gozen, as name = text")
    move_timeout_s: float = Field(
        300.0, gt=0, description="Seconds after which a move that has not ended counts as failed"
    )
    first_exposure_id: int = Field(
        1, ge=1, le=99_999_999, description="Lowest EXP_ID that is assigned; numbers continue from the last one"
    )
    seed: int = Field(1, description="Random seed of the simulated sky; use one seed for one archive")
    speed_up: float = Field(1.0, gt=0, description="Simulated devices are this many times faster than real ones")
    events: bool = Field(
        False, description="Whether each simulated exposure of the sky contains a flare, movers and other events"
    )
    dome_open: bool = Field(True, description="Whether the slit of the simulated dome is open at the start")
    faults: tuple[str, ...] = Field(
        (),
        description="Simulated operations that fail, such as focuser.move, or camera.expose@2 for the second call only",
    )


class ObserverSettings(SettingsSection):
    """The process that executes Observations (``gozen-observer``)."""

    name: str = Field(
        "observer",
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$",
        description="Name under which the observer claims Observations; one for each telescope",
    )
    namespace: str = Field("default", description="Namespace of the Observations")
    interval_s: float = Field(2.0, gt=0, description="Seconds between two checks of the cluster and the devices")
    claim_s: float = Field(
        120.0, gt=0, description="Seconds without renewal after which another observer may take over a claim"
    )
    attempts: int = Field(
        3,
        ge=1,
        le=99,
        description="Attempts at an interrupted exposure, each under a new EXP_ID; then the Observation is cancelled",
    )
    grace_s: float = Field(
        20.0,
        ge=0,
        description="When stopped, finish an exposure that ends within this many seconds; abort a longer one",
    )
