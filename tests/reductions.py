"""A small simulated camera with raw files, masters and reference stars, which the tests of the reduction share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gozen.archive import keys
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import Store, open_store
from gozen.calibration.calibrate_frame import detector_of
from gozen.calibration.combine_frames import dark_master, flat_master
from gozen.calibration.master_library import MasterImage, put_master
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue, read_reference
from gozen.frames.raw import assemble, read_file
from gozen.instrument.profile import Profile, parse_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.settings import Settings
from gozen.simulator import truth_tables
from gozen.simulator.simulated_camera import SimulatedCamera, SimulatedExposure
from gozen.simulator.sky.scene import Conditions, SimulatedSky

NIGHT, SENSOR, START = "20261120", "111", 61364.5416666
SKY = {"object": "field", "ra": 19.5, "dec": 29.7, "start": START, "sensors": [SENSOR]}
WORDS = {
    "OBJECT": "field",
    "DATA-TYP": "OBJECT",
    "UTC": "2026-11-20T12:00:00.25",
    "UTC-EXP": "2026-11-20T12:00:00",
    "EXPTIME1": 0.5,
    "TFRAME": 0.5,
    "TRLSTEP1": 0.0004,
    "RA": "01:18:00.0",
    "DEC": "+29:42:00.0",
    "DET_ID": "111",
}
"""What the header of a raw file of the small camera says."""
SMALL = """
name: small
site: {name: Kiso Observatory, longitude_deg: 137.62539, latitude_deg: 35.79369, height_m: 1132, time_zone: Asia/Tokyo}
raw: cube
shape: [400, 540]
active: "[1:500,1:400]"
reference: "[501:540,1:400]"
pixel_scale_arcsec: 1.189
pixel_scale_uncertainty: 0.005
pointing_uncertainty_arcsec: 60
gains: {high: {e_per_adu: 0.23, read_noise_e: 2.0, saturation_adu: 26000}}
default_gain: high
aperture_diameters_px: [21, 10]
stack_skips_frames: 1
sensors: [{id: "111"}, {id: "112", x_arcsec: 700}]
header:
  object: {word: OBJECT}
  data_type: {word: DATA-TYP}
  utc_start: {word: UTC, kind: utc}
  utc_sequence: {word: UTC-EXP, kind: utc}
  exposure_s: {word: EXPTIME1, kind: number}
  frame_time_s: {word: TFRAME, kind: number}
  row_time_s: {word: TRLSTEP1, kind: number}
  ra: {word: RA, kind: hours}
  dec: {word: DEC, kind: degrees}
  sensor: {word: DET_ID}
  exposure_id: {word: EXP_ID, optional: true}
  frame_id: {word: FRAME_ID, optional: true}
  gain: {word: GAIN, optional: true}
  pipelines: {word: PIPELINE, optional: true}
  project: {word: PROJECT, optional: true}
"""


@dataclass(frozen=True)
class Night:
    """A simulated night of one exposure of the sky, 00000003, after a DARK and a FLAT, with masters of one sensor."""

    store: Store
    profile: Profile
    reference: ReferenceCatalogue
    settings: Settings

    @property
    def raw_key(self) -> str:
        """The raw cube of the sky."""
        return self.store.list(keys.raw_folder(NIGHT, "00000003"))[0]

    def shared_inputs(self, **changes: object) -> SharedInputs:
        """Return what a reduction needs."""
        return replace(SharedInputs(self.store, self.profile, self.settings, self.reference), **changes)

    def copy(self, folder: Path) -> Night:
        """Return the same night in an archive of its own, which a test may spoil."""
        store = open_store(folder)
        for prefix in ("raw", "calib"):
            for key in self.store.list(prefix):
                store.write(key, self.store.read(key))
        return replace(self, store=store)


def simulated_night(
    folder: Path, profile: Profile, *, nframe: int = 6, seed: int = 5, events=(), conditions: Conditions | None = None
) -> Night:
    """Simulate a DARK, a FLAT and an exposure of the sky with one sensor, and make the masters.

    Parameters
    ----------
    events
        What happens: events, or a function that is given the order for the exposure of the sky.
    """
    store = open_store(folder)
    sky = SimulatedSky(seed, (), conditions or Conditions(), tycho=None)
    if callable(events):
        sky = replace(
            sky,
            events=tuple(
                events(SimulatedCamera(profile, sky, store).orders(SimulatedExposure(3, **SKY, nframe=nframe))[0])
            ),
        )
    camera = SimulatedCamera(profile, sky, store)
    for number, kind in ((1, "DARK"), (2, "FLAT")):
        # The real camera's calibration files carry an impossible declination, so these do too.
        place = {"ra": 0.0, "dec": 119.0, "start": START - 0.01 / number, "sensors": [SENSOR]}
        camera.expose(SimulatedExposure(number, object=kind, data_type=kind, nframe=10, **place))
    camera.expose(SimulatedExposure(3, **SKY, nframe=nframe))
    make_masters(store, profile)
    return Night(store, profile, read_reference(folder / truth_tables.REFERENCE_KEY), Settings())


def small_night(folder: Path, **options: object) -> Night:
    """Simulate a night of the small camera."""
    return simulated_night(folder, parse_profile(SMALL, "small"), **options)


def make_masters(store: Store, profile: Profile) -> None:
    """Make the masters of the first exposures, a DARK and a FLAT."""

    def cube(exposure: str):
        return assemble([read_file(store, key) for key in store.list(keys.raw_folder(NIGHT, exposure))], profile)

    bias, lamp = cube("00000001"), cube("00000002")
    dark = dark_master(bias, detector_of(profile, SENSOR, "high"))
    put_master(store, Processing(NIGHT, "00000001"), SENSOR, MasterImage("dark", dark, float(bias.start[0])))
    flat = flat_master([lamp], detector_of(profile, SENSOR, "high", dark))
    put_master(store, Processing(NIGHT, "00000002"), SENSOR, MasterImage("flat", flat, float(lamp.start[0])))


def work_of(night: Night, run: str = "r1", **changes: object) -> SensorWork:
    """Return the reduction of the night's exposure."""
    given = SensorWork(Processing(NIGHT, "00000003", run), SENSOR, (night.raw_key,), pipelines=("wcs", "stack"))
    return replace(given, **changes)


def reduced(night: Night, **changes: object):
    """Reduce the night's exposure."""
    return reduce_sensor(work_of(night), night.shared_inputs(**changes))


def products(night: Night) -> list[str]:
    """Return the keys of all that reductions of a night have left."""
    return sorted(
        key for folder in ("stack", "cube", "staging", "exposures", "neo") for key in night.store.list(folder)
    )
