"""A small camera of the profile `tomoe`, and orders for it, to make the tests of the simulator fast."""

from __future__ import annotations

from gozen.instrument.profile import Profile, load_profile
from gozen.simulator.camera.sensor_exposure import SensorExposure
from gozen.simulator.sky.scene import SimulatedSky

START = 61364.5416666


def small_profile() -> Profile:
    """Return `tomoe` with sensors of 300 x 200 pixels and 40 reference columns."""
    words = load_profile("tomoe").model_dump()
    words.update(shape=(200, 340), active="[1:300,1:200]", reference="[301:340,1:200]")
    return Profile.model_validate(words)


def order(**changes: object) -> SensorExposure:
    """Return an order for two frames of one small sensor, under a sky without real stars."""
    given: dict[str, object] = {
        "profile": small_profile(),
        "sky": SimulatedSky(7, tycho=None),
        "sensor": "111",
        "night": "20261120",
        "exposure_id": 42,
        "object": "J0118+2942_dith1",
        "ra": 19.5,
        "dec": 29.7,
        "start_mjd": START,
        "nframe": 2,
        **changes,
    }
    return SensorExposure(**given)  # type: ignore[arg-type]  # the tests name the parameters
