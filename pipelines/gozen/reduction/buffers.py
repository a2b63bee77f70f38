"""Reuse a worker's arrays for each cube, because allocating new memory takes as long as the calibration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Workspace:
    """Named arrays for one cube at a time; the next cube overwrites their content."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def room(self, name: str, size: int) -> memoryview:
        """Return memory of at least `size` bytes, with its old content."""
        kept = self._memory.get(name)
        if kept is None or len(kept) < size:
            kept = self._memory[name] = np.empty(size, np.uint8)
        return kept.data

    def array(self, name: str, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """Return an array, with its old content."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        return np.frombuffer(self.room(name, size)[:size], kind).reshape(shape)
