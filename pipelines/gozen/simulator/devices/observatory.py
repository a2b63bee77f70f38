"""The driver ``simulated``: an observatory without hardware, for tests, demos and trying recipes."""

from __future__ import annotations

import time

from gozen.archive.stores.open_store import Store
from gozen.instrument.profile import Profile
from gozen.observing.device_drivers import Observatory
from gozen.settings import Settings
from gozen.simulator.devices.film_camera import FilmingCamera
from gozen.simulator.devices.telescope_dome_focuser import (
    Clock,
    Faults,
    SimulatedDome,
    SimulatedFocuser,
    SimulatedTelescope,
)
from gozen.simulator.simulated_camera import SimulatedCamera
from gozen.simulator.sky.scene import SimulatedSky


def simulated(settings: Settings, profile: Profile, store: Store, clock: Clock = time.monotonic) -> Observatory:
    """Return a simulated observatory; entry point ``simulated`` of the group ``gozen.drivers``.

    Parameters
    ----------
    settings
        The group ``observatory`` sets the speed, the seed of the sky, events and faults.
    profile
        Instrument profile of the camera.
    store
        The archive into which raw files and tables of true values are written.
    clock
        Monotonic clock, seconds.

    Raises
    ------
    BadRequest
        A fault is not a valid verb.
    """
    said = settings.observatory
    faults = Faults(said.faults)
    return Observatory(
        telescope=SimulatedTelescope(clock, said.speed_up, faults),
        dome=SimulatedDome(clock, said.speed_up, faults, is_open=said.dome_open),
        focuser=SimulatedFocuser(clock, said.speed_up, faults),
        camera=FilmingCamera(
            SimulatedCamera(profile, SimulatedSky(said.seed), store),
            faults,
            speed_up=said.speed_up,
            events=said.events,
            clock=clock,
        ),
    )
