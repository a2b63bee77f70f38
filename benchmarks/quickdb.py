"""What QuickDB costs: the colour-colour diagram of an object table, in ratios to peers measured in the same run.

All ways read the same files and give the same diagram, which is checked; they take turns, warm; medians are compared.
Two workers each: the floor is bare PyArrow and fast-histogram in two processes. Results never come from the cache.

    python benchmarks/quickdb.py [--json FILE] [--rows 10_000_000] [--repeats 7] [--only ratios,growth,workers,kept,s3]

`ratios` compares with the floor, DuckDB, polars, dask.dataframe and LSDB, and measures what a patch costs; `growth`
draws lines in rows and looks at the memory of the workers; `workers` compares one with two; `kept` asks again what was
kept, and measures what it costs to see whether it may be; `s3` copies the table to an S3 server behind a latency of
15 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.append(str(Path(__file__).parents[1]))  # the S3 server of the tests

import histograms
from goals import Goal, conclude
from gozen import quickdb
from gozen.archive.stores.open_store import Store, open_archive, open_store
from gozen.catalog import open_catalog
from gozen.errors import Bug
from gozen.quickdb.work import tree_reduce
from gozen.quickdb.work.result_bytes import packed, received
from gozen.quickdb.work.tasks import TaskResult
from gozen.settings import load_settings
from gozen.simulator.objects.survey_tables import object_schema
from latency import latency
from survey_table import RERUN, TABLE, made
from timing import elapsed, say

SECTIONS = ("ratios", "growth", "workers", "kept", "s3")
WORKERS = 2
LATENCY_MS = 15.0
LOOKS = 100
RANGES, RANGE_BYTES = 200, 768 * 1024
"""What is asked for to see what a range costs; about as many bytes as a patch needs of a file."""

ON_EDGES = 1e-3
"""Share of the objects that may fall into the next bin, where an engine takes logarithms in another precision."""


def in_turns(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median time of each way, s: they take turns, after one turn that is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            spent[name].append(elapsed(way))
    return {name: float(np.median(times[1:])) for name, times in spent.items()}


def add(a: Any, b: Any) -> Any:
    """Reduce."""
    return a + b


def diagram_of(api: quickdb.Api) -> histograms.Ask:
    """Return the question, as a user of QuickDB asks it."""
    return lambda: api.mapreduce(histograms.of_patch, add, progress=False, cache=False)


def nothing(_patch: Any) -> int:
    """Read nothing."""
    return 1


def ratios(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Ask in all ways; also what a patch costs that reads nothing."""
    store = made(open_store(folder / f"table-{rows}"), rows)
    files = open_catalog(store, TABLE).urls()
    with ExitStack() as stack:
        local = stack.enter_context(quickdb.connect(folder / f"table-{rows}", rerun=RERUN, workers=WORKERS))
        client = stack.enter_context(histograms.cluster(WORKERS))
        dask = stack.enter_context(quickdb.connect(folder / f"table-{rows}", rerun=RERUN, engine=client))
        frame, lsdb = histograms.on_cluster(files, str(folder / f"table-{rows}/catalogs/{TABLE}"))
        ways = {
            "floor": stack.enter_context(histograms.floor(files, WORKERS)),
            "local": diagram_of(local),
            "dask": diagram_of(dask),
            "duckdb": stack.enter_context(histograms.duckdb(files, WORKERS)),
            "polars": stack.enter_context(histograms.polars(files, WORKERS)),
            "dask_dataframe": frame,
            "lsdb": lsdb,
        }
        say("each way once: the same diagram?")
        apart = compared({name: way() for name, way in ways.items()})
        say("in turns")
        spent = in_turns(ways, repeats)
        patches = sum(1 for _ in local.map(nothing, table="forced", cache=False))
        idle = {"local": local, "dask": dask}
        empty = {
            name: lambda api=api: api.mapreduce(nothing, add, table="forced", progress=False, cache=False)
            for name, api in idle.items()
        }
        overhead = in_turns(empty, repeats)
    return {
        "rows": rows, "columns": len(object_schema("forced")), "patches": patches, "s": spent, "differing": apart,
        "patch_ms": {name: 1000 * one / patches for name, one in overhead.items()},
    }  # fmt: skip


def compared(found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the share of objects that are in another bin than the floor has them in; `Bug` where that is many."""
    floor = found["floor"]
    apart = {name: float(np.abs(one - floor).sum() / 2 / floor.sum()) for name, one in found.items()}
    for name, share in apart.items():
        if share > (0 if name in ("local", "dask") else ON_EDGES):
            raise Bug(f"the diagram of {name} differs from the floor's in {share:.2%} of the objects")
    return apart


def growth(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Ask tables of a quarter, a half and all of the rows; also how much memory the workers had at most.

    Beside it stands what every worker does once more: `reduce` is tried on three values, and what a task gave is made
    bytes and read again.
    """
    sizes = [rows // 4, rows // 2, rows]
    spent, peaks = [], []
    for size in sizes:
        made(open_store(folder / f"table-{size}"), size)
        with quickdb.connect(folder / f"table-{size}", rerun=RERUN, workers=WORKERS) as api:
            spent.append(in_turns({"local": diagram_of(api)}, repeats)["local"])
            peaks.append(max(peak_mb(one) for one in psutil.Process().children(recursive=True)))
            diagram = diagram_of(api)()
    slope, start = np.polyfit(sizes, spent, 1).tolist()
    off = np.max(np.abs(np.polyval([slope, start], sizes) / spent - 1))
    return {
        "rows": sizes, "s": spent, "slope_s": slope, "start_s": start, "off_line": float(off), "peak_mb": peaks,
        "checks_s": in_turns({"checks": lambda: checked(diagram)}, 7)["checks"],
    }  # fmt: skip


def checked(diagram: np.ndarray) -> None:
    """Try `reduce` on three diagrams, and let one travel."""
    tree_reduce.Trial(partial(tree_reduce.checked, add)).add([diagram, 2 * diagram, 3 * diagram])
    received(packed(TaskResult([(0, {"values": [], "touched": {}, "first": []})], [(0, 0, diagram)])))


def peak_mb(process: psutil.Process) -> float:
    """Return the most memory that a process has had, MB; 0 for one that is gone."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000


def workers(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Ask with one and with two workers, in turns; the floor too, which says what the machine has to give."""
    files = open_catalog(made(open_store(folder / f"table-{rows}"), rows), TABLE).urls()
    with ExitStack() as stack:
        ways = {}
        for count in (1, 2):
            api = quickdb.connect(folder / f"table-{rows}", rerun=RERUN, workers=count)
            ways[f"local_{count}"] = diagram_of(stack.enter_context(api))
            ways[f"floor_{count}"] = stack.enter_context(histograms.floor(files, count))
        spent = in_turns(ways, repeats)
    return {"s": spent, **{f"{way}_gain": spent[f"{way}_1"] / spent[f"{way}_2"] for way in ("local", "floor")}}


def kept(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Ask without and with what is kept of earlier runs, for the first time and again, in turns."""
    made(open_store(folder / f"table-{rows}"), rows)
    with tempfile.TemporaryDirectory() as cache, ExitStack() as stack:
        settings = load_settings(archive=str(folder / f"table-{rows}"))
        settings = settings.model_copy(
            update={"quickdb": settings.quickdb.model_copy(update={"cache": Path(cache), "rerun": RERUN})}
        )
        api = stack.enter_context(quickdb.connect(workers=WORKERS, settings=settings))

        def ask(cache: bool = True) -> Any:
            return api.mapreduce(histograms.of_patch, add, progress=False, cache=cache)

        ways = {"clear": api.cache_clear, "not_kept": lambda: ask(cache=False), "first": ask, "again": ask}
        spent = in_turns(ways, repeats)
        del spent["clear"]
        if not api.cache_clear():
            raise Bug("nothing was kept of a function that computes with NumPy alone")
    before = time.process_time()
    for _ in range(LOOKS):
        quickdb.why_not_kept(histograms.of_patch, add)
    return {"rows": rows, "s": spent, "looking_ms": 1000 * (time.process_time() - before) / LOOKS}


def s3(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Ask the same table on a disk and on S3 behind a latency, in turns; the server runs on the same cores."""
    from tests.services.s3_server import s3_server

    disk = made(open_store(folder / f"table-{rows}"), rows)
    with ExitStack() as stack:
        server = stack.enter_context(s3_server(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        os.environ.update(server.environment)
        bucket = f"s3://{server.bucket('survey')}/archive"
        say(f"copying it to {bucket}")
        to = open_archive(load_settings(archive=bucket))
        for key in disk.list(""):
            to.write(key, disk.read(key))
        way = stack.enter_context(latency(int(server.endpoint.rpartition(":")[2]), LATENCY_MS))
        os.environ["GOZEN_STORAGE__ENDPOINT_URL"] = f"http://127.0.0.1:{way}"
        others = psutil.Process().children(recursive=True)
        far = stack.enter_context(quickdb.connect(bucket, rerun=RERUN, workers=WORKERS))
        near = stack.enter_context(quickdb.connect(folder / f"table-{rows}", rerun=RERUN, workers=WORKERS))
        if not np.array_equal(diagram_of(far)(), diagram_of(near)()):
            raise Bug("the diagram from S3 differs from that of the disk")
        before, asked = processor_s(others), len(server.requests())
        spent = in_turns({"disk": diagram_of(near), "s3": diagram_of(far)}, repeats)
        server_s = (processor_s(others) - before) / (repeats + 1)
        asked = len(server.requests()) - asked
        ranges = range_ms(to)
    return {
        "rows": rows, "latency_ms": LATENCY_MS, "s": spent, "server_processor_s": server_s,
        "requests": asked / (repeats + 1), "range_processor_ms": ranges,
    }  # fmt: skip


def range_ms(store: Store) -> dict[str, float]:
    """Return the processor time that a range of a file on S3 costs this process, ms, by the client that asks for it."""
    key = max(store.sizes("catalogs").items(), key=lambda item: item[1])[0]
    ways = {
        "botocore": lambda: [store.read_range(key, at, at + RANGE_BYTES) for at in range(RANGES)],
        "obstore": lambda: [store.read_ranges(key, [(at, at + RANGE_BYTES)]) for at in range(RANGES)],
    }
    spent = {}
    for name, way in ways.items():
        way()
        before = time.process_time()
        way()
        spent[name] = 1000 * (time.process_time() - before) / RANGES
    return spent


def processor_s(processes: Sequence[psutil.Process]) -> float:
    """Return the processor time that processes have used, s."""
    return float(sum(sum(one.cpu_times()[:2]) for one in processes))


def goals_of(result: Mapping[str, Any]) -> list[Goal]:
    """Return each goal with what was measured and its limit, for the sections that were run."""
    goals = []
    if "ratios" in result:
        s, patch = result["ratios"]["s"], result["ratios"]["patch_ms"]
        goals += [
            Goal("local/floor", s["local"] / s["floor"], 1.15),
            Goal("dask/floor", s["dask"] / s["floor"], 1.15),
            Goal("lsdb/local", s["lsdb"] / s["local"], 2.0, at_least=True),
            Goal("dask.dataframe/local", s["dask_dataframe"] / s["local"], 1.5, at_least=True),
            Goal("patch_ms_local", patch["local"], 1.0),
            Goal("patch_ms_dask", patch["dask"], 1.0),
        ]
    if "growth" in result:
        grown = result["growth"]
        goals += [
            Goal("off_line_in_rows", grown["off_line"], 0.1),
            Goal("memory_as_rows_double", grown["peak_mb"][2] / grown["peak_mb"][1], 1.1),
            Goal("checks_of_a_worker/job", grown["checks_s"] / grown["s"][2], 0.02),
            Goal("forecast_712M_rows_40_cores_s", grown["start_s"] + grown["slope_s"] * 712e6 * WORKERS / 40, 2.0),
        ]
    if "workers" in result:
        gain = result["workers"]["local_gain"] / result["workers"]["floor_gain"]
        goals.append(Goal("gain_of_two_workers/floor's", gain, 0.9, at_least=True))
    if "kept" in result:
        s = result["kept"]["s"]
        goals += [
            Goal("first_run/not_kept", s["first"] / s["not_kept"], 1.15),
            Goal("kept/not_kept", s["again"] / s["not_kept"], 0.25),
            Goal("look_through_a_function_ms", result["kept"]["looking_ms"], 2.0),
        ]
    if "s3" in result:
        goals.append(Goal("s3/disk", result["s3"]["s"]["s3"] / result["s3"]["s"]["disk"], 1.5))
    return goals


def show(result: Mapping[str, Any]) -> None:
    """Print what was measured."""
    if "ratios" in result:
        one = result["ratios"]
        for name, spent in one["s"].items():
            speed = one["rows"] / spent / WORKERS / 1e6
            ratio = spent / one["s"]["floor"]
            print(f"{name}: {spent:.3f} s, {ratio:.2f} of the floor, {speed:.1f} M rows/s/core, "
                  f"{one['differing'][name]:.1e} of the objects in another bin")  # fmt: skip
        each = ", ".join(f"{name} {ms:.3f} ms" for name, ms in one["patch_ms"].items())
        print(f"a patch that reads nothing, of {one['patches']}: {each}")
    if "growth" in result:
        one = result["growth"]
        for rows, spent, peak in zip(one["rows"], one["s"], one["peak_mb"], strict=True):
            print(f"{rows:,} rows: {spent:.3f} s, a worker's memory {peak:.0f} MB at most")
        print(f"line: {one['start_s']:.4f} s + {one['slope_s'] * 1e6:.4f} s for a million rows")
    if "workers" in result:
        print(", ".join(f"{name} {spent:.3f} s" for name, spent in result["workers"]["s"].items()))
    if "kept" in result:
        print(", ".join(f"{name} {spent:.3f} s" for name, spent in result["kept"]["s"].items()))
        print(f"to see whether a function may be kept: {result['kept']['looking_ms']:.2f} ms")
    if "s3" in result:
        one = result["s3"]
        print(", ".join(f"{name} {spent:.3f} s" for name, spent in one["s"].items()))
        server_s = one["server_processor_s"]
        elsewhere = (one["s"]["s3"] - server_s / WORKERS) / one["s"]["disk"]
        print(f"the S3 server and the way to it take {server_s:.3f} s of the same cores; without that {elsewhere:.2f}")
        each = ", ".join(f"{name} {ms:.2f} ms" for name, ms in one["range_processor_ms"].items())
        print(f"{one['requests']:.0f} requests for an answer; processor time of a range of {RANGE_BYTES} bytes: {each}")


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, joined by commas")
    parser.add_argument("--folder", type=Path, help="where tables are kept for another run")
    given = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gozen-quickdb-") as temporary:
        folder = given.folder or Path(temporary)
        for name in given.only.split(","):
            say(name)
            result[name] = {"ratios": ratios, "growth": growth, "workers": workers, "kept": kept, "s3": s3}[name](
                folder, given.rows, given.repeats
            )
    show(result)
    return conclude(goals_of(result), result, given.json)


if __name__ == "__main__":
    sys.exit(main())
