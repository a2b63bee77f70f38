"""The three kinds of resource, and how each is gathered, turned into facts and reconciled.

A reconcile has three steps. `gather` reads archive, pods and API server, which takes time. `facts` adds the content of
the index, and `reconcile` decides; neither of them sends a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Resource
from gozen.resources.observation import Observation
from gozen.settings import Settings
from gozen_operator.api_server.client import KubeApi
from gozen_operator.index.gather_facts import (
    ArchiveAnswer,
    ExposureAnswers,
    PublishAnswers,
    exposure_facts,
    lightcurve_facts,
    observation_facts,
)
from gozen_operator.index.neighbours import neighbours_of
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process import confirm_live, read_sources
from gozen_operator.process.read_sources import ReopenedArchive
from gozen_operator.reconcile.conditions import status_of, stored_conditions
from gozen_operator.reconcile.facts import ExposureFacts, JobSeen, LightCurveFacts, ObservationFacts, RequestProblem
from gozen_operator.reconcile.job_manifests import job_name
from gozen_operator.reconcile.object_fields import as_owner
from gozen_operator.reconcile.publish_manifests import publisher_name, remover_name
from gozen_operator.reconcile.reconcile_exposure import reconcile_exposure
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob
from gozen_operator.reconcile.reconcile_observation import reconcile_observation
from gozen_operator.reconcile.reconcile_plan import Plan

R = TypeVar("R", bound=Resource)
F = TypeVar("F")


@dataclass
class ReconcileSources:
    """The sources that a reconcile reads.

    Parameters
    ----------
    site
        Settings of the data plane: instrument, run.
    remember
        Adds an object that no event has reported to the index.
    watched_since
        When this operator began to reconcile, seconds since 1970; 0 before.
    """

    api: KubeApi
    index: Index
    archive: ReopenedArchive
    site: Settings
    settings: OperatorSettings
    remember: Callable[[Mapping[str, Any]], None]
    watched_since: float = 0.0


@dataclass(frozen=True)
class Answers:
    """Answers of archive, pods and API server about a resource, as far as they were needed.

    Parameters
    ----------
    pods
        Pods of the Job of the resource.
    publishing, removing
        Pods of its Jobs that publish and remove. The first may still be there when the second has ended.
    confirmed
        As `confirm_live.confirmed` returns it.
    """

    archive: ArchiveAnswer = field(default_factory=ArchiveAnswer)
    pods: Sequence[Mapping[str, Any]] = ()
    publishing: Sequence[Mapping[str, Any]] = ()
    removing: Sequence[Mapping[str, Any]] = ()
    confirmed: str = ""


@dataclass(frozen=True)
class KindSteps(Generic[R, F]):
    """The steps of a reconcile for one kind."""

    gather: Callable[[ReconcileSources, R], Answers]
    facts: Callable[[ReconcileSources, R, Answers], F]
    reconcile: Callable[[R, F, OperatorSettings, float], Plan]


def gather(sources: ReconcileSources, resource: Resource) -> Answers:
    """Read only the sources that the reconcile of a resource needs."""
    return _TABLE[type(resource)].gather(sources, resource)


def plan_for(sources: ReconcileSources, resource: Resource, answers: Answers, now: float) -> Plan:
    """Return what the operator must do next for a resource; `now` is in seconds since 1970."""
    steps = _TABLE[type(resource)]
    return steps.reconcile(resource, steps.facts(sources, resource, answers), sources.settings, now)


def _gather_for_observation(sources: ReconcileSources, observation: Observation) -> Answers:
    for manifest in confirm_live.unheard_of(sources.api, sources.index, observation):
        sources.remember(manifest)
    return Answers()


def _observation_facts(sources: ReconcileSources, observation: Observation, _: Answers) -> ObservationFacts:
    site = sources.site
    return observation_facts(sources.index, observation, read_sources.profile_of(site.instrument), site.run)


def _gather_for_exposure(sources: ReconcileSources, exposure: Exposure) -> Answers:
    namespace, near = str(exposure.metadata.namespace), neighbours_of(sources.index, exposure)
    confirmed = confirm_live.confirmed(sources.api, near, namespace)
    if near.entry.complete or near.waits_for_its_turn(sources.settings):
        return Answers(confirmed=confirmed)
    pods = _pods(sources, namespace, near.job)
    if near.job is not None and near.job.finished is None:  # the archive is asked before its Job, and after it
        return Answers(pods=pods, confirmed=confirmed)
    return Answers(sources.archive.answer(exposure), pods, confirmed=confirmed)


def _exposure_facts(sources: ReconcileSources, exposure: Exposure, answers: Answers) -> ExposureFacts:
    told = ExposureAnswers(
        profile=read_sources.profile_for(exposure, sources.site),
        archive=answers.archive,
        ends=read_sources.pod_ends(answers.pods),
        confirmed=answers.confirmed,
        watched_since=sources.watched_since,
    )
    return exposure_facts(sources.index, exposure, told, sources.settings)


def _gather_for_lightcurvejob(sources: ReconcileSources, resource: LightCurveJob) -> Answers:
    namespace, owner = str(resource.metadata.namespace), as_owner(resource)
    if status_of(stored_conditions(resource), "Complete") == "True":
        publisher, remover = (
            sources.index.job_of(owner, name) for name in (publisher_name(resource), remover_name(resource))
        )
        publishing, removing = _pods(sources, namespace, publisher), _pods(sources, namespace, remover)
        return Answers(publishing=publishing, removing=removing)
    return Answers(pods=_pods(sources, namespace, sources.index.job_of(owner, job_name(resource))))


def _lightcurve_facts(sources: ReconcileSources, resource: LightCurveJob, answers: Answers) -> LightCurveFacts:
    profile, pods = read_sources.profile_of(sources.site.instrument), answers.pods
    apertures = None if isinstance(profile, RequestProblem) else profile.aperture_diameters_px
    ends, result = read_sources.pod_ends(pods), read_sources.result_of(pods)
    publishing, removing = (
        PublishAnswers(read_sources.pod_ends(one), read_sources.published_by(one))
        for one in (answers.publishing, answers.removing)
    )
    return lightcurve_facts(sources.index, resource, apertures, ends, result, publishing, removing)


def _pods(sources: ReconcileSources, namespace: str, job: JobSeen | None) -> Sequence[Mapping[str, Any]]:
    """Return the pods of a Job if it has ended or one of its pods has failed; otherwise an empty result."""
    if job is None or (job.finished is None and not job.failed):
        return ()
    return sources.api.pods_of(namespace, job.uid)


_TABLE: Mapping[type[Resource], KindSteps[Any, Any]] = {
    Observation: KindSteps(_gather_for_observation, _observation_facts, reconcile_observation),
    Exposure: KindSteps(_gather_for_exposure, _exposure_facts, reconcile_exposure),
    LightCurveJob: KindSteps(_gather_for_lightcurvejob, _lightcurve_facts, reconcile_lightcurvejob),
}
