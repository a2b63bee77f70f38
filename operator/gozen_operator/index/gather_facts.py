"""The facts that a reconcile needs, from the index and from answers of the archive. Pure; `read_sources` asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gozen.instrument.profile import Apertures, Profile
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob, Selection
from gozen.resources.observation import Observation
from gozen_operator.index import index_entries
from gozen_operator.index.calibration_waits import awaited_calibration
from gozen_operator.index.index_entries import ExposureCard, LightCurveCard, ObservationCard, card_of
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.facts import (
    ChildExposure,
    Commit,
    ExposureFacts,
    JobSeen,
    LightCurveFacts,
    ObservationFacts,
    PodEnd,
)
from gozen_operator.reconcile.job_manifests import job_name
from gozen_operator.reconcile.object_fields import Key, Owner, as_owner
from gozen_operator.reconcile.refused import taken_by

MOST_NAMED = 7
"""Names that a message may list, and one more that says that there are more."""


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
    watched_since: float = 0.0,
    confirmed: str | None = None,
) -> ExposureFacts:
    """Return what is known about an Exposure.

    Parameters
    ----------
    profile
        Or the reason and message why there is none.
    watched_since
        Since when this operator looks at Exposures, seconds since 1970.
    confirmed
        Uid of the Exposure that the API server has just said to be there and to stay; None where the index is believed.
    """
    namespace, card, owner = str(exposure.metadata.namespace), _card(exposure), as_owner(exposure)
    job = index.job_of(owner, job_name(exposure))
    parent = _parent(index, namespace, card)
    ahead = index.before(index_entries.queue(namespace), card.rank)
    first = duplicate_of(index, namespace, card)
    return ExposureFacts(
        known_sensors=() if isinstance(profile, tuple) else [sensor.id for sensor in profile.sensors],
        problem=profile if isinstance(profile, tuple) else None,
        duplicate_of=None if first is None else first.name,
        duplicate_stays=first is not None and not first.going and confirmed in (None, first.uid),
        suspended=parent is not None and parent.suspended,
        raw=archive.raw,
        commits=archive.commits,
        trouble=archive.trouble,
        calibration=[] if isinstance(profile, tuple) else awaited_calibration(index, namespace, card, profile),
        job=None if job is None else replace(job, ends=ends),
        job_of_another=_job_of_another(index, owner, job_name(exposure)),
        may_launch=_has_its_turn(index, namespace, card, job, settings),
        ahead=ahead,
        held=parent is not None and not parent.complete,
        watched_since=watched_since,
    )


def waits_for_its_turn(index: Index, exposure: Exposure, settings: OperatorSettings) -> bool:
    """Tell whether an Exposure stands in the queue and cannot leave it yet: its raw data are known to be there."""
    namespace, card = str(exposure.metadata.namespace), _card(exposure)
    return card.reason == "Queued" and not _has_its_turn(index, namespace, card, None, settings)


def observation_facts(
    index: Index, observation: Observation, profile: Profile | tuple[str, str], run: str
) -> ObservationFacts:
    """Return what is known about an Observation."""
    if isinstance(profile, tuple):
        return ObservationFacts(known_sensors=(), problem=profile)
    namespace = str(observation.metadata.namespace)
    mine = card_of(observation)
    names = index.under(index_entries.of_observation(namespace, observation.metadata.name))
    found = [index.card(Key("Exposure", namespace, name)) for name in names]
    children = [one for one in found if isinstance(one, ExposureCard) and index_entries.is_parent(mine, one)]
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
) -> LightCurveFacts:
    """Return what is known about a LightCurveJob; the apertures are None where there is no instrument profile."""
    namespace, owner = str(job.metadata.namespace), as_owner(job)
    seen = index.job_of(owner, job_name(job))
    return LightCurveFacts(
        apertures=apertures,
        writer=_writer(index, namespace, job),
        waiting_for=_awaited(index, namespace, job.spec.selection),
        job=None if seen is None else replace(seen, ends=ends),
        job_of_another=_job_of_another(index, owner, job_name(job)),
        result=result,
    )


def _has_its_turn(
    index: Index, namespace: str, card: ExposureCard, job: JobSeen | None, settings: OperatorSettings
) -> bool:
    """Tell whether a place among the active Jobs is free for an Exposure, whose own Job does not count."""
    others = index.count(index_entries.running(namespace)) - (job is not None and job.finished is None)
    return others + index.before(index_entries.queue(namespace), card.rank) < settings.max_active_jobs


def _card(exposure: Exposure) -> ExposureCard:
    card = card_of(exposure)
    assert isinstance(card, ExposureCard)
    return card


def _parent(index: Index, namespace: str, card: ExposureCard) -> ObservationCard | None:
    parent = index.card(Key("Observation", namespace, card.observation)) if card.observation else None
    return parent if isinstance(parent, ObservationCard) and index_entries.is_parent(parent, card) else None


def _job_of_another(index: Index, mine: Owner, name: str) -> str:
    """Return what is to be known of a Job that has the name of a resource's own and is another's."""
    card = index.job_named(mine.key.namespace, name)
    if card is None or card.owner == mine:
        return ""
    return taken_by(name, card.owner, mine)


def duplicate_of(index: Index, namespace: str, card: ExposureCard) -> ExposureCard | None:
    """Return the Exposure that stands for the same processing and came first; None for one that has begun.

    What has a Job comes before what was made earlier: moments of creation are whole seconds, of several machines.
    """

    def place(one: ExposureCard) -> tuple[bool, str, str]:
        job = index.job_named(namespace, one.name)
        has_job = job is not None and job.owner == Owner(Key("Exposure", namespace, one.name), one.uid)
        return not (one.begun or has_job), one.made, one.name

    if card.exposure_id is None or not place(card)[0]:
        return None
    same = index_entries.same_processing(namespace, card.night, card.exposure_id, card.run, card.instrument)
    found = [index.card(Key("Exposure", namespace, name)) for name in index.under(same) if name != card.name]
    others = [one for one in found if isinstance(one, ExposureCard) and place(one) < place(card)]
    return min(others, key=place, default=None)


def _awaited(index: Index, namespace: str, choice: Selection) -> list[str]:
    """Return some Exposures of a selection that are not complete; they are named, not counted."""
    heading = index_entries.not_reduced(namespace, choice.run)
    if not choice.exposures and choice.night is None:
        return index.under(heading, most=MOST_NAMED)
    begin, end = ((choice.night, 0), (choice.night, 10**9)) if choice.night else ((), ("~",))
    count = index.before(heading, end) - index.before(heading, begin)
    names = index.under(heading, begin, count if choice.exposures else min(count, MOST_NAMED))
    return _some_named(index, namespace, names, choice.exposures) if choice.exposures else names


def _some_named(index: Index, namespace: str, names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    found, asked = [], frozenset(wanted)
    for name in names:
        card = index.card(Key("Exposure", namespace, name))
        if isinstance(card, ExposureCard) and card.exposure_id is not None and f"{card.exposure_id:08d}" in asked:
            found.append(name)
            if len(found) == MOST_NAMED:
                break
    return found


def _writer(index: Index, namespace: str, job: LightCurveJob) -> str | None:
    """Return another LightCurveJob that writes to the same table now, or waits for it and came first."""
    mine, owner = card_of(job), as_owner(job)
    assert isinstance(mine, LightCurveCard)
    for name in index.under(index_entries.appending(namespace, mine.table)):
        running = index.job_named(namespace, name)
        if running is not None and running.owner is not None and running.owner != owner:
            return running.owner.key.name  # it writes even when its LightCurveJob was deleted
    for name in index.under(index_entries.writers(namespace, mine.table)):
        one = index.card(Key("LightCurveJob", namespace, name))
        if not isinstance(one, LightCurveCard) or name == mine.name or one.table != mine.table:
            continue
        is_first = one.reason == "WaitingForTable" and (one.made, one.name) < (mine.made, mine.name)
        if is_first or index.job_of(Owner(Key("LightCurveJob", namespace, name), one.uid), one.job) is not None:
            return name
    return None
