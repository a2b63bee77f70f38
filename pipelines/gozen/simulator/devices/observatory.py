"""The driver ``simulated``: an observatory without a telescope, for tests, demos and recipes."""

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
        Its group ``observatory`` says how fast, under which sky and with which faults.
    profile
        What the camera is.
    store
        The archive that receives raw files and truth.
    clock
        Seconds that only grow.

    Raises
    ------
    BadRequest
        A fault names no verb.
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
