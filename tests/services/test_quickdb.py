"""QuickDB as an astronomer uses it, on a simulated survey and on light curves of some nights.

Covered: both programs of the platform's talk, unchanged, compared with plain PyArrow and NumPy and with the true pairs;
the same bits from every engine; functions as in notebooks; shared values, finalize, streams, regions, samples, margins,
single patches; look-ups and SQL; cached results of earlier runs, and appends between and during runs. Bad input:
test_quickdb_bad_input.py.
"""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.spatial import cKDTree

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog import open_catalog
from gozen.catalog.format.healpix import unit_vectors
from gozen.catalog.maintain.release import read_release
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write import append
from gozen.errors import BadRequest, TableNotFound
from gozen.quickdb import Api, Box, Cone, connect
from gozen.quickdb.engines import Here

from ..catalog_samples import rows_of
from ..observed_data import DATA
from .quickdb_surveys import FIELD, NIGHTS, OBJECTS, here

RERUN = "s20a_wide"
pytestmark = [pytest.mark.usefixtures("kept"), pytest.mark.xdist_group("survey")]  # two million objects are made once


@pytest.fixture(scope="module")
def near(survey: Path, kept: Path) -> Iterator[Api]:
    """Return the survey without workers."""
    with here(survey, rerun=RERUN) as api:
        yield api


@pytest.fixture(scope="module")
def forced(survey: Path) -> Callable[[list[str]], dict[str, np.ndarray]]:
    """Return a function that reads columns of all objects without QuickDB."""
    version = read_release(DirectoryStore(survey), RERUN).tables["forced"]
    paths = [survey / version.key_of_file(file.path) for file in version.files]

    def read(columns: list[str]) -> dict[str, np.ndarray]:
        table = pa.concat_tables([pq.read_table(path, columns=columns, partitioning=None) for path in paths])
        bools = [pa.types.is_boolean(field.type) for field in table.schema]
        filled = [pc.fill_null(c, False) if b else c for c, b in zip(table.columns, bools, strict=True)]
        return {name: column.to_numpy() for name, column in zip(table.column_names, filled, strict=True)}

    return read


def talk(name: str, api: Api) -> dict[str, Any]:
    """Run a program of the talk as it was printed."""
    program = DATA / "talk" / name
    assert program.is_file(), f"no {program}: set GOZEN_TEST_DATA to the folder that holds talk/"
    return runpy.run_path(str(program), {"api": api})


def instmag(flux: np.ndarray) -> np.ndarray:
    return 27 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def test_the_colour_colour_diagram_counts_as_numpy_does(near: Api, forced: Any) -> None:
    names = ["i_extendedness_value", *(f"{b}_psfflux_instflux" for b in "gri")]
    columns = forced(names)
    stars = columns["i_extendedness_value"] < 0.5
    g, r, i = (instmag(columns[name][stars]) for name in names[1:])
    wanted = np.histogram2d(g - r, r - i, range=((-0.5, 2), (-0.5, 4)), bins=(200, 400))
    found = talk("colour_colour.py", near)
    assert wanted[0].sum() > 50_000
    np.testing.assert_array_equal(found["hist"], wanted[0])
    np.testing.assert_array_equal(found["xedges"], wanted[1])
    np.testing.assert_array_equal(found["yedges"], wanted[2])


FLAGS = ("sdsscentroid_flag", "pixelflags_edge", "pixelflags_interpolatedcenter", "pixelflags_saturatedcenter",
         "pixelflags_crcenter", "pixelflags_bad", "cmodel_flag")  # fmt: skip


def test_the_pairs_are_those_of_one_tree_over_the_whole_sky(near: Api, survey: Path, forced: Any) -> None:
    mags = [f"{b}_psfflux_instflux" for b in "gri"]
    columns = forced(["source_id", "ra", "dec", "isprimary", *mags, *(f"{b}_{f}" for b in "gri" for f in FLAGS)])
    clean = columns["isprimary"] & (instmag(columns[mags[2]]) < 23)
    for name in (f"{b}_{f}" for b in "gri" for f in FLAGS):
        clean &= columns[name] == 0
    ra, dec, ids = (columns[name][clean] for name in ("ra", "dec", "source_id"))
    g, r, i = (instmag(columns[name][clean]) for name in mags)
    a, b = cKDTree(unit_vectors(ra, dec)).query_pairs(np.radians(2 / 3600), output_type="ndarray").T
    alike = (np.abs((g - r)[a] - (g - r)[b]) < 0.25) & (np.abs((r - i)[a] - (r - i)[b]) < 0.25)
    every = {frozenset(pair) for pair in zip(ra[a[alike]].tolist(), ra[b[alike]].tolist(), strict=True)}
    coords = talk("pairs.py", near)["coords"]
    found = {frozenset(np.round(pair, 9)) for pair in zip(*np.degrees(coords[[0, 2]]).tolist(), strict=True)}
    rounded = {frozenset(np.round(list(pair), 9)) for pair in every}
    assert coords.shape == (4, len(found))
    assert found <= rounded
    assert len(rounded - found) < 0.01 * len(rounded)  # pairs across the edge of a patch, which the program leaves out
    truth = pq.read_table(survey / "truth" / RERUN / "pairs.parquet")
    known = {int(one): float(place) for one, place in zip(ids.tolist(), ra.tolist(), strict=True)}
    true = [
        (known.get(a), known.get(b)) for a, b in zip(*(truth[f"source_id_{x}"].to_pylist() for x in "ab"), strict=True)
    ]
    passing = {frozenset(np.round(pair, 9)) for pair in true if None not in pair} & rounded
    assert len(passing) > 500
    assert len(passing & found) > 0.98 * len(passing)


def moments(patch: Any) -> tuple[int, np.ndarray, float]:
    color = patch("forced.g.psfflux_mag") - patch("forced.r.psfflux_mag")
    return patch.size, np.histogram(color, 50, (-1, 3))[0], float(np.nansum(color))


def added(a: Any, b: Any) -> Any:
    a[1][...] += b[1]  # in place, as one does with large arrays
    return a[0] + b[0], a[1], a[2] + b[2]


@pytest.fixture(scope="module")
def bits(near: Api) -> bytes:
    return as_bits(near)


def as_bits(api: Api) -> bytes:
    """Return the very bytes of floating-point sums and of both programs."""
    size, histogram, total = api.mapreduce(moments, added, cache=False)
    assert size == OBJECTS
    talked = talk("colour_colour.py", api)["hist"], talk("pairs.py", api)["coords"]
    return b"".join([histogram.tobytes(), np.float64(total).tobytes(), *(one.tobytes() for one in talked)])


@pytest.mark.parametrize(
    "how",
    [{"workers": 1}, {"workers": 2}, {"workers": 2, "engine": "dask"}, {"workers": 2, "isolate": True}],
    ids=["one worker", "two workers", "dask", "isolated"],
)
def test_every_engine_gives_the_same_bits(survey: Path, bits: bytes, how: dict[str, Any]) -> None:
    with connect(survey, rerun=RERUN, **how) as api:
        assert as_bits(api) == bits


def test_what_is_kept_gives_the_same_bits(near: Api, bits: bytes, kept: Path) -> None:
    assert as_bits(near) == bits
    assert any(kept.iterdir())
    first = near.mapreduce(moments, added)
    again = near.mapreduce(moments, added)
    assert first[2] == again[2]
    np.testing.assert_array_equal(first[1], again[1])
    assert near.cache_clear() > 0


CELLS = """
    import numpy as np
    from beside import doubled
    class Count:
        def __init__(self, step): self.step = step
        def __call__(self, patch): return patch.size * self.step
    def outer(limit):
        def inner(patch):
            return int((patch('forced.i.psfflux_mag') < limit).sum())
        return inner
    def nested(patch):
        def helper(x): return np.nansum(x) if len(x) else COMES_LATER
        return [int(helper(patch('forced.isprimary').astype(int)) * 1) for _ in range(2)][0]
    COMES_LATER = 0
    add = lambda a, b: a + b
    found = [
        api.mapreduce(Count(2), add),
        api.mapreduce(outer(22), add),
        api.mapreduce(nested, add),
        api.mapreduce(lambda p: doubled(p.size), add),
        api.mapreduce(lambda p, s: p.size * s['by'], add, shared={'by': 3}),
        api.mapreduce(lambda p: p.size, add, finalize=lambda n: f'{n} rows'),
    ]
"""
SCRIPT = f"""
    import sys
    from gozen import quickdb
    api = quickdb.connect(sys.argv[1], rerun='{RERUN}', workers=1, engine=sys.argv[2])
{CELLS}
    print(found)
"""


def test_functions_of_notebook_cells_just_work(near: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside.py").write_text("def doubled(n): return 2 * n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {"__name__": "__main__", "api": near}
    exec(compile(textwrap.dedent(CELLS), "<cell>", "exec"), names)
    twice, bright, primary, doubled, tripled, said = names["found"]
    assert (twice, doubled, tripled, said) == (2 * OBJECTS, 2 * OBJECTS, 3 * OBJECTS, f"{OBJECTS} rows")
    assert 0 < bright < primary < OBJECTS


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_a_script_without_a_guard_just_works(survey: Path, tmp_path: Path, engine: str) -> None:
    (tmp_path / "beside.py").write_text("def doubled(n): return 2 * n\n")
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "script.py", str(survey), engine], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert f"{2 * OBJECTS}, {3 * OBJECTS}, '{OBJECTS} rows']" in done.stdout


def test_dask_workers_do_not_watch_themselves_at_work(survey: Path) -> None:
    with connect(survey, rerun=RERUN, workers=1, engine="dask") as api:
        profiled = api.map(lambda _: dask.config.get("distributed.worker.profile.enabled"), table="forced")
        assert set(profiled) == {False}


def test_patches_come_in_order_or_as_a_stream(near: Api) -> None:
    order = list(near.map(lambda p: (p.healpix[0], p.id, p.size), table="forced"))
    assert order == sorted(order)
    assert sum(size for _, _, size in order) == OBJECTS
    assert sorted(near.map(lambda p: (p.healpix[0], p.id, p.size), table="forced", stream=True)) == order
    assert list(near.map(lambda _: None, table="forced")) == []
    assert near.mapreduce(lambda _: None, add, table="forced") is None


def test_two_jobs_may_run_by_turns(survey: Path) -> None:
    with connect(survey, rerun=RERUN, workers=1) as api:
        one = api.map(lambda p: (p.id, p("forced.ra").sum()), cache=False)
        other = api.map(lambda p: (p.id, p("forced.dec").sum()), cache=False)
        assert [a[0] == b[0] for a, b in zip(one, other, strict=True)]


@pytest.mark.parametrize("kind", ["cone", "box"])
def test_a_region_gives_the_rows_inside_and_no_others(near: Api, forced: Any, kind: str) -> None:
    columns = forced(["ra", "dec", "source_id"])
    ra, dec = (float(columns[name][len(columns[name]) // 2]) for name in ("ra", "dec"))
    region = Cone(ra, dec, 0.3) if kind == "cone" else Box((ra - 0.3, ra + 0.2), (dec - 0.1, dec + 0.4))
    inside = region.contains(columns["ra"], columns["dec"], columns["source_id"])
    found = np.concatenate(list(near.map(lambda p: p("forced.source_id"), region=region)))
    assert sorted(found.tolist()) == sorted(columns["source_id"][inside].tolist())
    assert 100 < len(found) < OBJECTS // 2
    assert min(near.map(lambda p: p("forced.source_id").size, region=region)) > 0, "a patch of which no row lies inside"


def test_a_sample_is_within_its_error(near: Api) -> None:
    def bright(patch: Any) -> Any:
        magnitude = patch("forced.i.psfflux_mag")
        return np.histogram(magnitude, 3, (18, 24))

    def reduce(a: Any, b: Any) -> Any:
        return a[0] + b[0], a[1]

    counts, edges = near.mapreduce(bright, reduce)
    estimate = near.mapreduce(bright, reduce, sample=0.3)
    assert 0.2 < estimate.fraction < 0.5
    np.testing.assert_array_equal(estimate.value[1], edges)
    assert (np.abs(estimate.value[0] - counts) < 5 * estimate.error[0] + 1).all()
    again = near.mapreduce(bright, reduce, sample=0.3)
    np.testing.assert_array_equal(again.value[0], estimate.value[0])
    together = near.mapreduce(lambda p: p("forced.ra")[:5], lambda a, b: np.concatenate([a, b]), sample=0.3)
    assert together.value.ndim == 1
    assert near.mapreduce(lambda _: None, reduce, finalize=lambda x: x[0], table="forced", sample=0.3).value is None


def test_pairs_across_the_edges_of_patches_are_found_once(near: Api, forced: Any) -> None:
    columns = forced(["source_id", "ra", "dec"])

    def pairs(patch: Any) -> Any:
        around = patch.margin(2)
        ids = np.concatenate([patch("forced.source_id"), around("forced.source_id")])
        tree = cKDTree(np.concatenate([patch("forced.coord"), around("forced.coord")], axis=1).T)
        a, b = tree.query_pairs(np.radians(2 / 3600), output_type="ndarray").T
        mine = np.where(ids[a] < ids[b], a, b) < patch.size  # the pair belongs to the patch of the smaller id
        return np.sort(np.stack([ids[a], ids[b]], axis=1)[mine], axis=1)

    found = np.concatenate(list(near.map(pairs, table="forced")))
    a, b = (
        cKDTree(unit_vectors(columns["ra"], columns["dec"])).query_pairs(np.radians(2 / 3600), output_type="ndarray").T
    )
    every = np.sort(np.stack([columns["source_id"][a], columns["source_id"][b]], axis=1), axis=1)
    assert len(found) == len(every) > 1000
    assert {tuple(pair) for pair in found.tolist()} == {tuple(pair) for pair in every.tolist()}


def test_one_patch_to_try_a_function_on(near: Api) -> None:
    identity = next(near.map(lambda p: p.id, table="forced"))
    patch = near.patch(identity)
    assert patch.size == near.patch(identity, table="meas").size > 0
    assert patch("forced.ra").shape == (patch.size,)
    with pytest.raises(BadRequest, match="order/pixel/number"):
        near.patch("nonsense")


def test_what_there_is(near: Api) -> None:
    assert near.reruns() == [RERUN]
    assert near.tables() == ["forced", "meas"]
    columns = near.columns()
    assert columns.loc["forced.i.psfflux_flux", "type"] == "float"
    assert columns.loc["forced.i.psfflux_flux", "unit"] == "nJy"


# Light curves, SQL, and what is kept


def test_light_curves_come_from_the_live_table(nights: Path) -> None:
    catalog = open_catalog(DirectoryStore(nights), "lightcurves")
    with here(nights) as api:
        star = int(FIELD.source_id[3])
        assert api.lightcurve(star).equals(catalog.lightcurve(star))
        assert len(api.lightcurve(star, columns=["mjd", "flux"])) == 3 * len(NIGHTS)
        ra, dec = float(FIELD.ra[3]), float(FIELD.dec[3])
        assert api.lightcurve(ra=ra, dec=dec, radius=30).equals(catalog.cone(ra, dec, 30))
        for wrong in ({}, {"ra": 1.0}):
            with pytest.raises(BadRequest, match="no star is given"):
                api.lightcurve(**wrong)
        with pytest.raises(BadRequest, match="a star and a circle are given"):
            api.lightcurve(source_id=1, ra=1.0, dec=1.0)
        stars = api.map(lambda p: np.unique(p("lightcurves.source_id"), return_counts=True))
        counts = np.concatenate([count for _, count in stars])
        assert set(counts.tolist()) == {3 * len(NIGHTS)}


def rows_in(api: Api, query: str, **mine: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in api.sql(query, **mine).to_pylist())


def test_sql_finds_what_look_ups_find(nights: Path) -> None:
    catalog = open_catalog(DirectoryStore(nights), "lightcurves")
    ra, dec = float(FIELD.ra[3]), float(FIELD.dec[3])
    inside = sorted(catalog.cone(ra, dec, 600, ["source_id", "mjd"]).to_pylist(), key=lambda row: tuple(row.values()))
    wanted = [tuple(row.values()) for row in inside]
    assert len(wanted) > 9
    circle = f"{ra!r}, {dec!r}, 600"
    mine = pa.table({"source_id": FIELD.source_id[:10], "name": [f"star {n}" for n in range(10)]})
    with here(nights) as api:
        assert rows_in(api, f"SELECT source_id, mjd FROM lightcurves WHERE within(ra, dec, {circle})") == wanted
        for query in (
            f"SELECT l.source_id, l.mjd FROM lightcurves AS l WHERE WITHIN(l.ra, l.dec, {circle}) AND l.flux > -1e9",
            f"WITH near AS (SELECT * FROM lightcurves WHERE within(ra, dec, {circle})) SELECT source_id, mjd FROM near",
            f"WITH lightcurves AS (SELECT * FROM Lightcurves) SELECT source_id, mjd FROM lightcurves "
            f"WHERE within(ra, dec, {circle})",
            f"SELECT source_id, mjd FROM (SELECT * FROM lightcurves) AS x WHERE within(x.ra, x.dec, {circle})",
            f"SELECT source_id, mjd FROM lightcurves WHERE NOT (NOT within(ra, dec, {circle}))",
        ):
            assert rows_in(api, query) == wanted, query
        outside = rows_in(api, f"SELECT source_id, mjd FROM lightcurves WHERE NOT within(ra, dec, {circle})")
        assert len(outside) + len(wanted) == catalog.info().rows
        other = f"source_id = {FIELD.source_id[60]}"
        of_other = rows_in(api, f"SELECT source_id, mjd FROM lightcurves WHERE {other}")
        either = f"SELECT source_id, mjd FROM lightcurves WHERE within(ra, dec, {circle}) OR {other}"
        assert rows_in(api, either) == sorted({*wanted, *of_other})
        joined = "SELECT name, count(*) FROM lightcurves JOIN mine USING (source_id) GROUP BY name"
        assert rows_in(api, joined, mine=mine) == [(f"star {n}", 9) for n in range(10)]
        assert rows_in(api, "SELECT 'within(ra, dec, 1, 2, 3)' AS text") == [("within(ra, dec, 1, 2, 3)",)]
        assert rows_in(api, "SELECT count(*) AS n FROM lightcurves WHERE run <> 'within(ra, dec, 1)'")[0][0] > 100


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        ("SELEC 1", BadRequest, "SQL|SELECT"),
        ("", BadRequest, "one SELECT"),
        ("SELECT 1; SELECT 2", BadRequest, "one SELECT"),
        ("DROP TABLE lightcurves", BadRequest, "one SELECT"),
        ("SELECT nothing FROM lightcurves", BadRequest, "nothing"),
        ("SELECT * FROM nowhere", TableNotFound, "no table 'nowhere'"),
        ("SELECT * FROM lightcurves, tables", TableNotFound, "no table 'tables'"),
        ("SELECT * FROM lightcurves WHERE within(ra, dec, 1, 2)", BadRequest, "write within"),
        ("SELECT * FROM lightcurves WHERE within(ra, dec, mjd, 2, 3)", BadRequest, "write within"),
        ("SELECT * FROM lightcurves WHERE within(1, 2, 1, 2, 3)", BadRequest, "write within"),
        ("SELECT * FROM lightcurves WHERE within(ra, dec, 1, 95, 3)", BadRequest, "write within"),
    ],
)
def test_sql_that_cannot_be_says_why(nights: Path, query: str, error: type[Exception], said: str) -> None:
    with here(nights) as api, pytest.raises(error, match=said):
        api.sql(query)


def count(patch: Any) -> int:
    return int(patch("lightcurves.mjd").size)


def add(a: int, b: int) -> int:
    return a + b


def test_after_an_append_only_new_patches_are_computed(
    nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(nights, tmp_path / "archive")
    store = DirectoryStore(tmp_path / "archive")
    blocks: list[Any] = []
    with here(tmp_path / "archive") as api:
        run = Here.run

        def noted(self: Here, job: Any, tasks: Any) -> Any:
            for task in tasks:
                blocks.extend(task)
            return run(self, job, tasks)

        monkeypatch.setattr(Here, "run", noted)
        before = api.mapreduce(count, add)
        everywhere = len(blocks)
        assert before == 3 * len(NIGHTS) * len(FIELD.ra)
        blocks.clear()
        assert api.mapreduce(count, add) == before
        assert blocks == []
        far = type(FIELD)(FIELD.source_id[:1], FIELD.ra[:1], FIELD.dec[:1], 0)
        append.append_night(store, "lightcurves", 20260104, [rows_of(far, 20260104, "1")])
        assert api.mapreduce(count, add) == before + 3
        assert 0 < len(blocks) < everywhere
        blocks.clear()
        assert api.mapreduce(count, add, cache=False) == before + 3
        assert len(blocks) >= everywhere


def test_a_job_sees_one_version_while_a_night_is_appended(nights: Path, tmp_path: Path) -> None:
    shutil.copytree(nights, tmp_path / "archive")
    store = DirectoryStore(tmp_path / "archive")
    with here(tmp_path / "archive") as api:
        running = api.map(lambda p: p("lightcurves.mjd").size, cache=False)
        first = next(running)
        append.append_night(store, "lightcurves", 20260104, [rows_of(FIELD, 20260104, "1")])
        assert first + sum(running) == 3 * len(NIGHTS) * len(FIELD.ra)
        assert sum(api.map(lambda p: p("lightcurves.mjd").size)) == 3 * (len(NIGHTS) + 1) * len(FIELD.ra)


def test_what_depends_on_a_margin_is_computed_again_when_a_neighbour_changes(nights: Path, tmp_path: Path) -> None:
    shutil.copytree(nights, tmp_path / "archive")
    store = DirectoryStore(tmp_path / "archive")

    def around(patch: Any) -> int:
        return len(patch.margin(3600)("lightcurves.mjd")) + patch.size

    with here(tmp_path / "archive") as api:
        list(api.map(around, table="lightcurves"))
        one = type(FIELD)(FIELD.source_id[:1], FIELD.ra[:1], FIELD.dec[:1], 0)
        append.append_night(store, "lightcurves", 20260104, [rows_of(one, 20260104, "1")])
        assert list(api.map(around, table="lightcurves")) == list(api.map(around, table="lightcurves", cache=False))
        assert Catalog.open(store, "lightcurves").info().rows > 0
