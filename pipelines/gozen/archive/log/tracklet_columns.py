"""Columns of ``tables/tracklets``: one for each field of a tracklet's record and of its points."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pydantic import BaseModel

from gozen.archive.tracklet_record import Number, TrackletPoint, TrackletRecord


def _kinds(model: type[BaseModel]) -> Iterable[tuple[str, pa.DataType, str]]:
    plain = {float: pa.float64(), int: pa.int32(), str: pa.string(), bool: pa.bool_(), Number: pa.float64()}
    for name, field in model.model_fields.items():
        if name != "points":
            kind = plain.get(field.annotation, pa.float64() if field.metadata else pa.string())
            yield name, kind, field.description or ""


OF_TRACKLET = tuple(name for name, _, _ in _kinds(TrackletRecord))
FIELDS: tuple[tuple[str, pa.DataType, str], ...] = (*_kinds(TrackletRecord), *_kinds(TrackletPoint))
