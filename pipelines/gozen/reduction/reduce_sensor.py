"""Reduce one sensor's exposure from raw files to its commit; rejected data get a commit too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from gozen.archive.commit import Outcome, SensorCommit, read_commit, write_commit
from gozen.archive.provenance import Provenance
from gozen.archive.raw.forget import check_not_forgotten
from gozen.archive.stores.store import check_unchanged
from gozen.errors import Rejected, UnreadableInput
from gozen.reduction.sensor_commit import commit_of
from gozen.reduction.sensor_stages import Read, Stage, Unread
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.reduction.steps.frames_to_stack import stages_to_stack
from gozen.reduction.steps.pipeline_table import STEPS, PipelineStep
from gozen.version import code_version

log = logging.getLogger(__name__)


def reduce_sensor(work: SensorWork, shared: SharedInputs, steps: Sequence[PipelineStep[Any]] = STEPS) -> SensorCommit:
    """Reduce one sensor's exposure, or return the commit that is there already.

    Parameters
    ----------
    work
        What is to be reduced.
    shared
        Archive, profile, settings and reference catalogue.
    steps
        The steps of all pipelines, in the order in which they run.

    Returns
    -------
    The commit in the archive; its status says whether a gate refused the data, its products name what exists.

    Raises
    ------
    UnreadableInput
        Masters or raw data are missing.
    StorageUnavailable
        The archive cannot be read or written, or raw data changed while they were reduced.
    """
    done = read_commit(shared.store, work.processing, work.sensor)
    if done is not None:
        return done
    if not work.raw:
        raise UnreadableInput(f"{work.processing.folder} sensor {work.sensor} has no raw files")
    raw_store = shared.raw_store(work.raw_root)
    # From before the files are read: what changes afterwards is noticed.
    stamps = {key: raw_store.stamp(key) for key in work.raw}
    unread = Unread(None, work, shared, _first_provenance(work, shared))
    reached, refusal = last_stage(unread, steps)
    if refusal is not None:
        log.info("%s sensor %s: %s: %s", work.processing.folder, work.sensor, refusal.name, refusal)
    commit = commit_of(unread, reached, refusal)
    # A commit stays for ever: it must not rest on a file half old and half new, nor on one that was taken out.
    check_unchanged(raw_store, stamps)
    check_not_forgotten(shared.store, work.processing.night, work.processing.exposure, work.raw_here)
    outcome = write_commit(shared.store, work.processing, commit)
    # Another worker was first: its commit names its own products, and is the one that counts.
    if outcome is Outcome.KEPT_FIRST:
        return read_commit(shared.store, work.processing, work.sensor) or commit
    return commit


def last_stage(unread: Unread, steps: Sequence[PipelineStep[Any]]) -> tuple[Stage, Rejected | None]:
    """Reduce a sensor as far as its gates allow; return the last stage that was reached, and the refusal or None.

    A refusal ends the reduction but for those steps of the pipelines that show why.
    """
    reached: Stage = unread
    refusal: Rejected | None = None
    try:
        for stage in stages_to_stack(unread):
            reached = stage
    except Rejected as error:
        refusal = error
    read = reached.find(Read)
    asked = read.pipelines if read else ()
    for step in steps:
        if step.pipeline in asked and (refusal is None or step.after_refusal):
            try:
                reached = step.follow(reached)
            except Rejected as error:
                refusal = refusal or error
    return reached, refusal


def _first_provenance(work: SensorWork, shared: SharedInputs) -> Provenance:
    shaping = shared.settings.model_dump(
        mode="json", include={"detection", "photometry", "movers", "astrometry", "calibration", "gates"}
    )
    reading = shared.settings.reference_file.model_dump(mode="json", exclude_defaults=True)
    if reading:
        shaping["reference_file"] = reading
    return Provenance(
        code_version=code_version(),
        image_digest=shared.settings.image_digest,
        recipe_name=work.recipe_name,
        recipe=work.recipe,
        parameters=shaping,
        reference=shared.reference_used,
    )
