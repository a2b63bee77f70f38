"""Names of the pipelines that recipes, headers, profiles and commands may use.

The steps of each pipeline are listed in `gozen.reduction.steps.pipeline_table`.
"""

from __future__ import annotations

from typing import Literal, get_args

PipelineName = Literal["wcs", "stack", "neo", "cube"]

PIPELINE_NAMES: tuple[PipelineName, ...] = get_args(PipelineName)
