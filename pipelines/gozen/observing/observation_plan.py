"""Plan an Observation: derive the exposures of its steps, with pointing and camera setup. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gozen.errors import BadRequest
from gozen.resources.exposure import Exposure, ExposureSpec, exposure_name
from gozen.resources.metadata import ObjectMeta, ObjectReference
from gozen.resources.observation import Observation
from gozen.resources.pipeline_names import PipelineName
from gozen.resources.recipe_steps import DataType, Operation, Parameters, Pointing

ARCSEC_PER_DEGREE = 3600.0


@dataclass(frozen=True)
class PlannedExposure:
    """An Exposure that will be made, with the setup of telescope and camera.

    Parameters
    ----------
    exposure
        The resource; its night and EXP_ID are unknown until the shutter opens.
    step
        Number of its step among the Observation's operations, from 1.
    pointing
        Centre of the field; None for a dark or flat before any pointing.
    tinteg_sec
        Integration time of one frame, s.
    gain
        Name of the amplifier setting.
    """

    exposure: Exposure
    step: int
    pointing: Pointing | None
    tinteg_sec: float
    gain: str


@dataclass(frozen=True)
class _State:
    """The setup of telescope and camera after the steps so far."""

    pipelines: Sequence[PipelineName]
    gain: str
    pointing: Pointing | None = None
    tinteg_sec: float | None = None
    nframe: int | None = None
    data_type: DataType = "OBJECT"
    sensors: Sequence[str] = field(default=())


def exposures_of(
    observation: Observation,
    *,
    instrument: str = "tomoe",
    run: str = "r1",
    default_pipelines: Sequence[PipelineName] = ("wcs", "stack"),
    default_gain: str = "high",
) -> list[PlannedExposure]:
    """Return the exposures that an Observation will make, in order.

    Parameters
    ----------
    observation
        The Observation whose steps are planned.
    instrument
        Name of the instrument profile.
    run
        Name of the processing run.
    default_pipelines, default_gain
        Defaults of the instrument, for exposures before any ``setPipeline`` or ``gain``.

    Raises
    ------
    BadRequest
        A step is not possible after those before it, for example a science exposure before any pointing.
    """
    state = _State(pipelines=default_pipelines, gain=default_gain)
    planned = []
    for step, operation in enumerate(observation.spec.operations, start=1):
        place = f"Observation {observation.metadata.name} step {step}"
        if operation.exposure is not None:
            planned.append(_planned(observation, step, operation.exposure, state, place, instrument, run))
        state = _after(state, operation, place)
    return planned


def pointings_of(observation: Observation) -> dict[int, Pointing]:
    """Return the pointing after each step that moves the telescope, by the step's number from 1.

    Raises
    ------
    BadRequest
        A dithering comes before any pointing, or crosses a celestial pole.
    """
    state, found = _State(pipelines=(), gain=""), {}
    for step, operation in enumerate(observation.spec.operations, start=1):
        state = _after(state, operation, f"Observation {observation.metadata.name} step {step}")
        if state.pointing is not None and operation.kind in ("pointing", "dithering"):
            found[step] = state.pointing
    return found


def offset(pointing: Pointing, dra_arcsec: float, ddec_arcsec: float) -> Pointing:
    """Return a pointing after an offset on the sky.

    Parameters
    ----------
    pointing
        The pointing before the offset.
    dra_arcsec, ddec_arcsec
        Offsets on the sky towards east and north, arcsec; the first is divided by the cosine of the declination to
        get the change of right ascension.

    Raises
    ------
    ValueError
        The offset crosses a celestial pole, or moves east or west from one.
    """
    dec = pointing.dec + ddec_arcsec / ARCSEC_PER_DEGREE
    if abs(dec) > 90 or (dra_arcsec and abs(pointing.dec) == 90):
        raise ValueError(
            f"[{dra_arcsec:g}, {ddec_arcsec:g}] arcsec from declination {pointing.dec:g} crosses a celestial pole"
        )
    if not dra_arcsec:
        return Pointing(ra=pointing.ra, dec=dec)
    ra = pointing.ra + dra_arcsec / ARCSEC_PER_DEGREE / math.cos(math.radians(pointing.dec))
    # Modulo twice: a tiny negative angle modulo 360 is rounded to 360, which is not a valid right ascension.
    return Pointing(ra=ra % 360.0 % 360.0, dec=dec)


def _after(state: _State, operation: Operation, place: str) -> _State:
    """Return the setup after a step."""
    match operation:
        case Operation(pointing=Pointing() as pointing):
            return replace(state, pointing=pointing)
        case Operation(dithering=[dra, ddec]):
            return replace(state, pointing=_dithered(state.pointing, dra, ddec, place))
        case Operation(set_pipeline=list() as pipelines):
            return replace(state, pipelines=tuple(pipelines))
        case Operation(set_parameter=Parameters() as parameters):
            return replace(state, **parameters.given)  # type: ignore[arg-type]  # the fields have the same names
    return state


def _dithered(pointing: Pointing | None, dra: float, ddec: float, place: str) -> Pointing:
    if pointing is None:
        raise BadRequest(f"{place}: dithering comes before any pointing; put a pointing before it")
    try:
        return offset(pointing, dra, ddec)
    except ValueError as error:
        raise BadRequest(f"{place}: dithering {error}; choose another field or a smaller offset") from error


def _planned(
    observation: Observation, step: int, object_name: str, state: _State, place: str, instrument: str, run: str
) -> PlannedExposure:
    what = f"{place}: exposure {object_name!r}"
    if state.nframe is None or state.tinteg_sec is None:
        missing = "nframe" if state.nframe is None else "tinteg_sec"
        raise BadRequest(f"{what} comes before {missing} is set; put a setParameter with {missing} before it")
    if state.pointing is None and state.data_type == "OBJECT":
        raise BadRequest(f"{what} comes before any pointing; put a pointing before it, or set datatype to DARK or FLAT")
    meta = observation.metadata
    spec = ExposureSpec(
        observation_ref=ObjectReference(name=meta.name),
        object=object_name,
        instrument=instrument,
        data_type=state.data_type,
        sensors=list(state.sensors),
        nframe=state.nframe,
        pipelines=list(state.pipelines) if state.data_type == "OBJECT" else [],
        run=run,
        priority_class="express" if observation.spec.target_of_opportunity else "default",
    )
    exposure = Exposure(metadata=ObjectMeta(name=exposure_name(meta.name, step), namespace=meta.namespace), spec=spec)
    return PlannedExposure(exposure, step, state.pointing, state.tinteg_sec, state.gain)
