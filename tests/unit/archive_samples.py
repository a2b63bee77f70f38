"""Commits for the tests of the archive."""

from gozen.archive.commit import FrameRecord, GateRecord, Rejection, SensorCommit, Summary
from gozen.archive.keys import Processing
from gozen.archive.provenance import Provenance
from gozen.errors import NoisyFrame

NIGHT = "20240105"


def commit(exposure="e1", sensor="111", run="r1", night=NIGHT, **fields):
    """Return a commit of two frames, the second one refused."""
    values = {
        "frame_id": f"TMQ{exposure}{sensor}",
        "object": "J0118+2942",
        "data_type": "OBJECT",
        "mjd_start": 60314.5,
        "exposure_s": 0.5,
        "nframe": 2,
        "status": "reduced",
        "gates": (GateRecord(name="NoisyFrame", value=1.1, limit=3.0, unit="ratio", passed=True, frame=0),),
        "frames": (
            FrameRecord(frame=0, mjd=60314.5, background_adu=101.5, seeing_px=2.5, shift_x_px=0.1, shift_y_px=-0.2),
            FrameRecord(frame=1, mjd=60314.6, rejected=Rejection.of(NoisyFrame("frame 1: noisy", value=4, limit=3))),
        ),
        "summary": Summary(ra=19.7, dec=29.7, n_sources=1500, zero_point=23.4, limiting_magnitude=18.7),
        "provenance": Provenance(code_version="0.1.0"),
    }
    return SensorCommit(night=night, exposure=exposure, run=run, sensor=sensor, **(values | fields))


def refused(**fields):
    """Return the commit of a sensor that a gate refused."""
    why = Rejection(name="SaturatedField", message="the median is 25000 ADU, the limit 20800", value=25000, limit=20800)
    return commit(status="rejected", rejection=why, frames=(), **fields)


def processing_of(one):
    """Return the processing that a commit belongs to."""
    return Processing(one.night, one.exposure, one.run)
