"""What it costs that a worker looks after a user's function: a call with three questions, with and without it.

Both ways take turns and use the same process; the one without neither stops the process nor counts what it takes. What
is left is the price of isolation itself (a process of its own, columns in shared memory, results as data).

    python benchmarks/isolation.py [--json FILE] [--calls 400] [--rows 65536]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import cloudpickle
import numpy as np

from goals import Goal, conclude
from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.child_usage import Watch
from timing import elapsed

QUESTIONS = 3
LIMIT = 1.15


class Histograms:
    """A user's program, as short as one that still does something with each column."""

    def run(self, questions: int, ask: Callable[[int], Any]) -> Any:
        """Return the sum of the histograms of some columns."""
        import numpy

        return sum(numpy.histogram(ask(number)["x"], 100)[0] for number in range(questions))


def measured(calls: int, rows: int) -> dict[str, float]:
    """Return the median time of a call, ms, looked after and not."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    program, columns = cloudpickle.dumps(Histograms()), {"x": np.random.default_rng(1).random(rows)}
    spent: dict[str, list[float]] = {"watched": [], "unwatched": []}
    nothing = {name: lambda *_: None for name in ("begin", "look", "stop", "resume")}
    with Child() as child:
        call = lambda: child.call(program, "run", QUESTIONS, lambda _: columns)  # noqa: E731  # once, for both ways
        for _ in range(10):
            call()
        for _ in range(calls):
            spent["watched"].append(elapsed(call))
            child._running.connection._watch.resume()  # type: ignore[union-attr]  # it stands still after a call
            with mock.patch.multiple(Watch, **nothing):
                spent["unwatched"].append(elapsed(call))
    return {name: 1000 * float(np.median(each)) for name, each in spent.items()}


def main() -> int:
    """Measure, print, and say whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rows", type=int, default=65_536)
    given = parser.parse_args()
    call_ms = measured(given.calls, given.rows)
    print(", ".join(f"{name}: {ms:.3f} ms a call" for name, ms in call_ms.items()))
    ratio = call_ms["watched"] / call_ms["unwatched"]
    return conclude([Goal("isolation_watched/unwatched", ratio, LIMIT)], {"call_ms": call_ms}, given.json)


if __name__ == "__main__":
    sys.exit(main())
