"""Pipelines ``stack`` and ``cube``: store images, even of rejected data."""

from __future__ import annotations

from gozen.archive import keys
from gozen.archive.commit import put_new_product
from gozen.reduction.sensor_products import cube_bytes, stack_bytes
from gozen.reduction.sensor_stages import Aligned, Measured, Solved, Stage, Stored


def store_stack(aligned: Aligned, reached: Stage) -> Stored:
    """Store the stack, with the WCS and the zero point if they are known."""
    context, measured = aligned.context, reached.find(Measured)
    zero = measured.found.zero.zp if measured and measured.found.zero else None
    data = stack_bytes(aligned.stack, reached.find(Solved), zero, context)
    key = keys.stack(context.processing, aligned.stack.cube.raw.frame_id)
    return Stored(reached, products={"stack": put_new_product(context.store, key, data, context.version)})


def store_cube(aligned: Aligned, reached: Stage) -> Stored:
    """Store the calibrated frames, with the WCS of the stack if it is known."""
    context = aligned.context
    data = cube_bytes(aligned.stack, reached.find(Solved), context)
    key = keys.cube(context.processing, aligned.stack.cube.raw.frame_id)
    return Stored(reached, products={"cube": put_new_product(context.store, key, data, context.version)})
