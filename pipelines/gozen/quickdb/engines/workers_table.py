"""Make the table of a user's workers and what they use. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("role", "state", "tasks", "processor_percent", "memory_mb", "memory_limit", "note")


def table_of(state: Mapping[str, Any], used: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table with one row for each pod, indexed by its name.

    Parameters
    ----------
    state
        State of the user's cluster, from the hub's service.
    used
        What Dask's scheduler says about each worker, by the name of the worker: tasks, processor and memory.
    """
    pods = sorted(state["pods"], key=lambda one: (one["role"], one["name"]))
    rows = [_row(one, used) for one in pods]
    names = [str(one["name"]) for one in pods]
    missing = int(state["wanted"]) - sum(one["role"] == "worker" for one in pods)
    if missing > 0:
        awaited = "; ".join(state["awaited"])
        names += [f"(not there yet {number})" for number in range(1, missing + 1)]
        rows += [{"role": "worker", "state": "awaited", "note": awaited}] * missing
    return _table(names, rows)


def local_table(workers: int) -> pd.DataFrame:
    """Return the table of workers that are processes, or of another Dask cluster."""
    return _table([str(number) for number in range(1, workers + 1)], [{"role": "worker", "state": "ready"}] * workers)


def _row(pod: Mapping[str, Any], used: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    # A worker has the name of its Deployment, whose pods have longer names.
    found = next((values for name, values in used.items() if str(pod["name"]).startswith(f"{name}-")), {})
    return {
        "role": pod["role"],
        "state": "ready" if pod["ready"] else "starts",
        "memory_limit": pod["memory"],
        "note": pod["note"],
        **found,
    }


def _table(names: list[str], rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd  # half a second, which only those pay who ask for a table

    # Objects: a worker that is not there yet has no numbers, and the others' stay whole.
    found = pd.DataFrame(rows, index=pd.Index(names, name="worker"), columns=list(COLUMNS), dtype=object)
    return found.fillna("")
