"""The table of pipelines. To add one, write a module with its step, and add a line here and its name to `resources`.

The names that a recipe may use are in `gozen.resources.pipeline_names`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gozen.reduction.sensor_stages import Aligned, Fitted, Measured, Solved, Stage
from gozen.reduction.steps.calibrate_rows import measure_sources, store_rows
from gozen.reduction.steps.mover_step import search_movers
from gozen.reduction.steps.solve_stack import check_place, fit_solution
from gozen.reduction.steps.store_images import store_cube, store_stack

Source = TypeVar("Source", bound=Stage)


@dataclass(frozen=True)
class PipelineStep(Generic[Source]):
    """One step of a pipeline.

    Parameters
    ----------
    pipeline
        Name of the pipeline that the step belongs to.
    needs
        The stage that the step starts from; the step does not run if that stage was not reached.
    take
        Function of the needed stage and the last stage that was reached; returns the next stage, or raises `Rejected`
        if a gate rejects the data.
    after_refusal
        Whether the step runs even if an earlier step rejected the data.
    """

    pipeline: str
    needs: type[Source]
    take: Callable[[Source, Stage], Stage]
    after_refusal: bool = False

    def follow(self, reached: Stage) -> Stage:
        """Return the stage after this step, or `reached` if the step cannot run."""
        source = reached.find(self.needs)
        return reached if source is None else self.take(source, reached)


STEPS: tuple[PipelineStep[Any], ...] = (
    PipelineStep("wcs", Aligned, fit_solution),
    PipelineStep("wcs", Fitted, check_place),
    PipelineStep("wcs", Solved, measure_sources),
    PipelineStep("neo", Measured, search_movers),
    PipelineStep("wcs", Measured, store_rows),
    PipelineStep("stack", Aligned, store_stack, after_refusal=True),
    PipelineStep("cube", Aligned, store_cube, after_refusal=True),
)
"""All steps, in the order in which they run."""
