"""How benchmarks keep time: progress with the time of day, seconds, and medians of many calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def say(text: str) -> None:
    """Print progress at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def elapsed(act: Callable[[], Any]) -> float:
    """Return how long something takes, s."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def median_ms(act: Callable[[Any], Any], wanted: Sequence[Any], *, warm: bool = False) -> float:
    """Return the median time of an act on each of what is wanted, ms; where asked, after a pass that is not counted."""
    spent = [elapsed(lambda one=one: act(one)) for one in [*wanted] * (2 if warm else 1)]
    return float(np.median(spent[-len(wanted) :])) * 1000
