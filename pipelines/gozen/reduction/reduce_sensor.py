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
    """Reduce one sensor's exposure, or return its commit if there is one already.

    Parameters
    ----------
    work
        The sensor and its raw files.
    shared
        Archive, profile, settings and reference catalogue.
    steps
        The steps of all pipelines, in the order in which they run.

    Returns
    -------
    The commit in the archive: its status says whether a gate rejected the data, and it names the stored products.

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
        raise UnreadableInput(
            f"the sensor {work.sensor} of {work.processing.folder} has no raw files; "
            "add them with `gozen run --raw` or `gozen watch`, or omit this sensor"
        )
    raw_store = shared.raw_store(work.raw_root)
    # Taken before the files are read, to notice a change during the reduction.
    stamps = {key: raw_store.stamp(key) for key in work.raw}
    unread = Unread(None, work, shared, _first_provenance(work, shared))
    reached, refusal = last_stage(unread, steps)
    if refusal is not None:
        log.info("%s sensor %s: %s: %s", work.processing.folder, work.sensor, refusal.name, refusal)
    commit = commit_of(unread, reached, refusal)
    # A commit is permanent: it must not use a raw file that was overwritten or forgotten during the reduction.
    check_unchanged(raw_store, stamps)
    check_not_forgotten(shared.store, work.processing.night, work.processing.exposure, work.raw_here)
    outcome = write_commit(shared.store, work.processing, commit)
    # Another worker committed first: only its commit is valid, and it names that worker's products.
    if outcome is Outcome.KEPT_FIRST:
        return read_commit(shared.store, work.processing, work.sensor) or commit
    return commit


def last_stage(unread: Unread, steps: Sequence[PipelineStep[Any]]) -> tuple[Stage, Rejected | None]:
    """Reduce a sensor until a gate rejects it; return the last stage that was reached, and the rejection or None.

    After a rejection only the steps with `after_refusal` run: their images show what is wrong.
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
