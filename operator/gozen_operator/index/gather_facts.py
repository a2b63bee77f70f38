"""Gather the facts for a reconcile of each kind, from the index and from answers of archive and pods. No I/O.

`process.kind_table` does the I/O: it reads archive, pods and API server. Each function of this module takes all
its facts from the index at one moment, so they fit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gozen.instrument.profile import Apertures, Profile
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob, Selection
from gozen.resources.observation import Observation
from gozen_operator.index import index_entries
from gozen_operator.index.calibration_waits import awaited_calibration
from gozen_operator.index.index_entries import ExposureEntry, LightCurveEntry, entry_of
from gozen_operator.index.neighbours import job_of_another, neighbours_of
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.facts import (
    ChildExposure,
    Commit,
    ExposureFacts,
    LightCurveFacts,
    ObservationFacts,
    PodEnd,
    PublishFacts,
    PublishResult,
    RequestProblem,
)
from gozen_operator.reconcile.job_manifests import job_name
from gozen_operator.reconcile.object_fields import Key, Owner, as_owner
from gozen_operator.reconcile.publish_manifests import publisher_name, remover_name

MOST_NAMED = 7
"""Number of names to read for a message: the names that it lists, and one more, which shows that there are others."""


@dataclass(frozen=True)
class ArchiveAnswer:
    """Answer of the archive about an Exposure.

    Parameters
    ----------
    raw
        Sensors whose raw data exist; None if they were not read.
    commits
        Commits by sensor; None if they were not read.
    trouble
        Why the archive cannot be read now.
    """

    raw: frozenset[str] | None = None
    commits: Mapping[str, Commit] | None = None
    trouble: str | None = None


@dataclass(frozen=True)
class ExposureAnswers:
    """Facts about an Exposure that are not in the index.

    Parameters
    ----------
    profile
        The profile of its instrument, or the reason why Gozen has no such profile.
    ends
        How the failed pods of its Job ended.
    confirmed
        Uid of the duplicate that a request to the API server has confirmed; None to rely on the index.
    watched_since
        When this operator began to reconcile, seconds since 1970.
    """

    profile: Profile | RequestProblem
    archive: ArchiveAnswer = field(default_factory=ArchiveAnswer)
    ends: Sequence[PodEnd] = ()
    confirmed: str | None = None
    watched_since: float = 0.0


@dataclass(frozen=True)
class PublishAnswers:
    """The outcome of the pods that publish or remove in the present attempt: how they failed, and a report."""

    ends: Sequence[PodEnd] = ()
    result: PublishResult | None = None


def exposure_facts(
    index: Index, exposure: Exposure, answers: ExposureAnswers, settings: OperatorSettings
) -> ExposureFacts:
    """Return the facts about an Exposure."""
    profile, archive = answers.profile, answers.archive
    known = () if isinstance(profile, RequestProblem) else [sensor.id for sensor in profile.sensors]
    with index.unchanged():
        near = neighbours_of(index, exposure)
        calibration = (
            []
            if isinstance(profile, RequestProblem)
            else awaited_calibration(index, str(exposure.metadata.namespace), near.entry, profile)
        )
    first, parent = near.first, near.parent
    return ExposureFacts(
        known_sensors=known,
        problem=profile if isinstance(profile, RequestProblem) else None,
        duplicate_of=None if first is None else first.name,
        # Another Exposure may have taken the name of the duplicate since it was confirmed: the uids must agree.
        duplicate_stays=first is not None and not first.going and answers.confirmed in (None, first.uid),
        suspended=parent is not None and parent.suspended,
        raw=archive.raw,
        commits=archive.commits,
        trouble=archive.trouble,
        calibration=calibration,
        job=None if near.job is None else replace(near.job, ends=answers.ends),
        job_of_another=near.job_of_another,
        may_launch=near.may_launch(settings),
        ahead=near.ahead,
        held=parent is not None and not parent.complete,
        watched_since=answers.watched_since,
    )


def observation_facts(
    index: Index, observation: Observation, profile: Profile | RequestProblem, run: str
) -> ObservationFacts:
    """Return the facts about an Observation."""
    if isinstance(profile, RequestProblem):
        return ObservationFacts(known_sensors=(), problem=profile)
    namespace = str(observation.metadata.namespace)
    mine = entry_of(observation)
    with index.unchanged():
        names = index.under(index_entries.of_observation(namespace, observation.metadata.name))
        found = [index.entry(Key("Exposure", namespace, name)) for name in names]
    children = [one for one in found if isinstance(one, ExposureEntry) and index_entries.is_parent(mine, one)]
    return ObservationFacts(
        known_sensors=[sensor.id for sensor in profile.sensors],
        instrument=profile.name,
        run=run,
        default_pipelines=profile.default_pipelines,
        default_gain=profile.default_gain,
        children={one.name: ChildExposure(one.name, one.complete, one.succeeded, one.reason) for one in children},
    )


def lightcurve_facts(
    index: Index,
    job: LightCurveJob,
    apertures: Apertures | None,
    ends: Sequence[PodEnd],
    result: Mapping[str, int] | None,
    publishing: PublishAnswers = PublishAnswers(),
    removing: PublishAnswers = PublishAnswers(),
) -> LightCurveFacts:
    """Return the facts about a LightCurveJob; the apertures are None if there is no instrument profile."""
    namespace, owner = str(job.metadata.namespace), as_owner(job)
    with index.unchanged():
        seen = index.job_of(owner, job_name(job))
        return LightCurveFacts(
            apertures=apertures,
            writer=_writer(index, namespace, job),
            waiting_for=_awaited(index, namespace, job.spec.selection),
            job=None if seen is None else replace(seen, ends=ends),
            job_of_another=job_of_another(index, owner, job_name(job)),
            result=result,
            publish=_publish_facts(index, owner, job, publishing, removing),
        )


def _publish_facts(
    index: Index, owner: Owner, job: LightCurveJob, publishing: PublishAnswers, removing: PublishAnswers
) -> PublishFacts:
    publisher, remover = index.job_of(owner, publisher_name(job)), index.job_of(owner, remover_name(job))
    return PublishFacts(
        publisher=None if publisher is None else replace(publisher, ends=publishing.ends),
        remover=None if remover is None else replace(remover, ends=removing.ends),
        result=publishing.result,
        removal=removing.result,
    )


def _awaited(index: Index, namespace: str, choice: Selection) -> list[str]:
    """Return the first incomplete Exposures of a selection, at most as many as a message can name."""
    index_key = index_entries.not_reduced(namespace, choice.run)
    if not choice.exposures and choice.night is None:
        return index.under(index_key, most=MOST_NAMED)
    begin, end = ((choice.night, 0), (choice.night, 10**9)) if choice.night else ((), ("~",))
    count = index.before(index_key, end) - index.before(index_key, begin)
    names = index.under(index_key, begin, count if choice.exposures else min(count, MOST_NAMED))
    return _some_named(index, namespace, names, choice.exposures) if choice.exposures else names


def _some_named(index: Index, namespace: str, names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    found, asked = [], frozenset(wanted)
    for name in names:
        entry = index.entry(Key("Exposure", namespace, name))
        if isinstance(entry, ExposureEntry) and entry.exposure_id is not None and f"{entry.exposure_id:08d}" in asked:
            found.append(name)
            if len(found) == MOST_NAMED:
                break
    return found


def _writer(index: Index, namespace: str, job: LightCurveJob) -> str | None:
    """Return another LightCurveJob that writes to the same table now, or that waited for the table earlier."""
    mine, owner = entry_of(job), as_owner(job)
    assert isinstance(mine, LightCurveEntry)
    for name in index.under(index_entries.appending(namespace, mine.table)):
        running = index.job_named(namespace, name)
        if running is not None and running.owner is not None and running.owner != owner:
            return running.owner.key.name  # it writes until it is collected, even when its LightCurveJob is deleted
    for name in index.under(index_entries.writers(namespace, mine.table)):
        one = index.entry(Key("LightCurveJob", namespace, name))
        if not isinstance(one, LightCurveEntry) or name == mine.name or one.table != mine.table:
            continue
        # By age, then by name: two that wait for each other would wait for ever.
        is_first = one.reason == "WaitingForTable" and (one.made, one.name) < (mine.made, mine.name)
        if is_first or index.job_of(Owner(Key("LightCurveJob", namespace, name), one.uid), one.job) is not None:
            return name
    return None
