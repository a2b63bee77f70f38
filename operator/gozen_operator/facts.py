"""The facts that a reconcile needs, from the index and from what the archive answered. Pure; who asks is `looking`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from gozen.instrument.profile import Profile
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.meta import Resource
from gozen.resources.observation import Observation
from gozen_operator.index import Index, Key
from gozen_operator.jobs import job_name
from gozen_operator.observed import ChildExposure, Commit, ExposureFacts, LightCurveFacts, ObservationFacts, PodEnd
from gozen_operator.settings import OperatorSettings


@dataclass(frozen=True)
class ArchiveAnswer:
    """What the archive says of an Exposure.

    Parameters
    ----------
    raw
        Sensors whose raw data are there; None where it was not asked.
    commits
        By sensor; None where it was not asked.
    trouble
        Why it cannot be asked now.
    """

    raw: frozenset[str] | None = None
    commits: Mapping[str, Commit] | None = None
    trouble: str | None = None


def exposure_facts(
    index: Index,
    exposure: Exposure,
    profile: Profile | tuple[str, str],
    archive: ArchiveAnswer,
    ends: Sequence[PodEnd],
    settings: OperatorSettings,
) -> ExposureFacts:
    """Return what is known about an Exposure; ``profile`` may be the reason and message why there is none."""
    namespace = str(exposure.metadata.namespace)
    siblings = [one for one in index.resources("Exposure", namespace) if one.metadata.name != exposure.metadata.name]
    others = [one for one in siblings if isinstance(one, Exposure)]
    job = index.job(namespace, job_name(exposure))
    ahead = sum(_goes_before(one, exposure) for one in others if _reason(one) == "Queued")
    active = sum(_is_active(index, one) for one in others)
    problem = profile if isinstance(profile, tuple) else None
    return ExposureFacts(
        known_sensors=() if isinstance(profile, tuple) else [sensor.id for sensor in profile.sensors],
        problem=problem,
        duplicate_of=next((one.metadata.name for one in others if _is_first(one, exposure)), None),
        suspended=_suspended(index, exposure),
        raw=archive.raw,
        commits=archive.commits,
        trouble=archive.trouble,
        calibration=[one.metadata.name for one in others if _calibrates(one, exposure)],
        job=None if job is None else replace(job, ends=ends),
        may_launch=active + ahead < settings.max_active_jobs,
        ahead=ahead,
        held=_held(index, exposure),
    )


def observation_facts(
    index: Index, observation: Observation, profile: Profile | tuple[str, str], run: str
) -> ObservationFacts:
    """Return what is known about an Observation."""
    if isinstance(profile, tuple):
        return ObservationFacts(known_sensors=(), problem=profile)
    namespace = str(observation.metadata.namespace)
    children = {
        one.metadata.name: ChildExposure(
            one.metadata.name,
            _status(one, "Complete") == "True",
            _status(one, "Succeeded") == "True",
            _reason(one) or "",
        )
        for one in index.resources("Exposure", namespace)
        if _observation_of(one) == observation.metadata.name
    }
    return ObservationFacts(
        known_sensors=[sensor.id for sensor in profile.sensors],
        instrument=profile.name,
        run=run,
        default_pipelines=profile.default_pipelines,
        default_gain=profile.default_gain,
        children=children,
    )


def lightcurve_facts(
    index: Index,
    job: LightCurveJob,
    apertures: Sequence[int],
    ends: Sequence[PodEnd],
    result: Mapping[str, int] | None,
) -> LightCurveFacts:
    """Return what is known about a LightCurveJob."""
    namespace = str(job.metadata.namespace)
    seen = index.job(namespace, job_name(job))
    rivals = [one for one in index.resources("LightCurveJob", namespace) if _writes_before(index, one, job)]
    return LightCurveFacts(
        apertures=apertures,
        writer=rivals[0].metadata.name if rivals else None,
        waiting_for=[one.metadata.name for one in index.resources("Exposure", namespace) if _is_awaited(one, job)],
        job=None if seen is None else replace(seen, ends=ends),
        result=result,
    )


def affected(index: Index, key: Key) -> list[Key]:
    """Return the resources that an event about one of them concerns besides: who waits for it, who follows it."""
    found: list[Key] = []
    resource = index.resource(key)
    if isinstance(resource, Exposure):
        name = _observation_of(resource)
        found += [Key("Observation", key.namespace, name)] if name else []
        found += [other for other in index.keys("LightCurveJob") if other.namespace == key.namespace]
        found += _waiting(index, key.namespace)
    elif isinstance(resource, Observation):
        found += [
            Key("Exposure", key.namespace, one.metadata.name)
            for one in index.resources("Exposure", key.namespace)
            if _observation_of(one) == resource.metadata.name
        ]
    elif isinstance(resource, LightCurveJob):
        found += [other for other in index.keys("LightCurveJob") if other.namespace == key.namespace]
    return [other for other in found if other != key]


def _waiting(index: Index, namespace: str) -> list[Key]:
    reasons = ("Queued", "WaitingForCalibration")
    return [
        Key("Exposure", namespace, one.metadata.name)
        for one in index.resources("Exposure", namespace)
        if _reason(one) in reasons
    ]


def _condition(resource: Resource, type_: str, field: str) -> str | None:
    status = cast("Exposure | Observation | LightCurveJob", resource).status
    found = status.conditions if status is not None else []
    return next((str(getattr(one, field)) for one in found if one.type == type_), None)


def _status(resource: Resource, type_: str) -> str | None:
    return _condition(resource, type_, "status")


def _reason(resource: Resource) -> str | None:
    return _condition(resource, "Succeeded", "reason")


def _observation_of(resource: Resource) -> str | None:
    reference = resource.spec.observation_ref if isinstance(resource, Exposure) else None
    return reference.name if reference is not None else None


def _rank(exposure: Exposure) -> tuple[bool, int, str]:
    return exposure.spec.priority_class != "express", exposure.spec.exposure_id or 0, exposure.metadata.name


def _goes_before(one: Exposure, other: Exposure) -> bool:
    return _rank(one) < _rank(other)


def _is_active(index: Index, exposure: Exposure) -> bool:
    job = index.job(str(exposure.metadata.namespace), job_name(exposure))
    return job is not None and job.finished is None


def _is_first(one: Exposure, other: Exposure) -> bool:
    """Tell whether another Exposure stands for the same processing, and was there first."""
    same = ("night", "exposure_id", "run", "instrument")
    if other.spec.exposure_id is None or any(getattr(one.spec, w) != getattr(other.spec, w) for w in same):
        return False
    if _status(one, "Accepted") == "False":
        return False
    return _age(one) < _age(other)


def _age(resource: Resource) -> tuple[str, str]:
    made = resource.metadata.creation_timestamp
    return (made.isoformat() if made else "", resource.metadata.name)


def _calibrates(one: Exposure, other: Exposure) -> bool:
    """Tell whether a calibration Exposure has to be complete before another one is reduced."""
    kinds = {"OBJECT": ("DARK", "FLAT"), "FLAT": ("DARK",), "DARK": ()}[other.spec.data_type]
    mine, others = one.spec.exposure_id, other.spec.exposure_id
    earlier = mine is not None and others is not None and mine < others
    done = _status(one, "Complete") == "True"
    return one.spec.data_type in kinds and one.spec.instrument == other.spec.instrument and earlier and not done


def _suspended(index: Index, exposure: Exposure) -> bool:
    name = _observation_of(exposure)
    parent = index.resource(Key("Observation", str(exposure.metadata.namespace), name)) if name else None
    return isinstance(parent, Observation) and parent.spec.suspend


def _held(index: Index, exposure: Exposure) -> bool:
    """Tell whether an Observation still counts this Exposure, or a LightCurveJob waits for its night."""
    namespace, name = str(exposure.metadata.namespace), _observation_of(exposure)
    parent = index.resource(Key("Observation", namespace, name)) if name else None
    return parent is not None and _status(parent, "Complete") != "True"


def _is_awaited(resource: Resource, job: LightCurveJob) -> bool:
    if not isinstance(resource, Exposure) or _status(resource, "Complete") == "True":
        return False
    choice, spec = job.spec.selection, resource.spec
    if spec.data_type != "OBJECT" or spec.run != choice.run or spec.exposure_id is None:
        return False
    named = not choice.exposures or f"{spec.exposure_id:08d}" in choice.exposures
    return named and (choice.night is None or choice.night == spec.night)


def _writes_before(index: Index, one: Resource, job: LightCurveJob) -> bool:
    """Tell whether another LightCurveJob writes to the same table now, or waits for it and came first."""
    if not isinstance(one, LightCurveJob) or one.metadata.name == job.metadata.name:
        return False
    if one.spec.target_catalog != job.spec.target_catalog or _status(one, "Complete") == "True":
        return False
    if index.job(str(one.metadata.namespace), job_name(one)) is not None:
        return True
    return _reason(one) == "WaitingForTable" and _age(one) < _age(job)
