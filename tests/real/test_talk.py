"""The two programs of the platform's talk, unchanged, on a simulated survey: their results are correct.

Covered: the colour-colour diagram, compared with one made from all columns at once; the pairs, compared with the
survey's true pairs and with a search tree of all objects, on processes of this machine. The programs are in the test
data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy.spatial import cKDTree

from gozen import quickdb
from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix
from gozen.simulator.objects.survey_release import pairs_key, simulate_objects
from gozen.simulator.truth_tables import read_truth

from ..observed_data import DATA

pytestmark = pytest.mark.xdist_group("talk")
TALK = DATA / "talk"
COUNT = 250_000
FLAGS = [
    "sdsscentroid_flag",
    "pixelflags_edge",
    "pixelflags_interpolatedcenter",
    "pixelflags_saturatedcenter",
    "pixelflags_crcenter",
    "pixelflags_bad",
    "cmodel_flag",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return an archive with a survey of the talk's name."""
    store = open_store(tmp_path_factory.mktemp("talk") / "archive")
    simulate_objects(store, "s20a_wide", COUNT)
    return store


@pytest.fixture(scope="module")
def api(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[quickdb.Api]:
    """Connect as the talk does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOZEN_QUICKDB__CACHE", str(tmp_path_factory.mktemp("cache")))
        with quickdb.connect(str(store.path("")), rerun="s20a_wide", workers=2) as api:
            yield api


def run(name: str, api: quickdb.Api) -> dict[str, Any]:
    """Run a program as it is, and return its variables."""
    path = TALK / f"{name}.py"
    names: dict[str, Any] = {"api": api, "__name__": "__main__"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names


def magnitudes(store: Store) -> dict[str, np.ndarray]:
    """Return all rows' instrumental magnitudes, by band."""
    columns = [f"{band}_psfflux_instflux" for band in "gri"]
    table = open_catalog(store, "s20a_wide_forced").table(columns)
    flux = {name[0]: table[name].to_numpy() for name in columns}
    return {band: 27 - 2.5 * np.log10(np.where(one > 0, one, np.nan)) for band, one in flux.items()}


def test_the_colour_colour_diagram(api: quickdb.Api, store: Store) -> None:
    found = run("colour_colour", api)
    assert (TALK / "colour_colour.py").read_text(encoding="utf-8").count("api.mapreduce(map, reduce)") == 1
    mag = magnitudes(store)
    point = open_catalog(store, "s20a_wide_forced").table(["i_extendedness_value"])[0].to_numpy() < 0.5
    g, r, i = (mag[band][point] for band in "gri")
    expected = np.histogram2d(g - r, r - i, range=((-0.5, 2), (-0.5, 4)), bins=(200, 400))[0]
    np.testing.assert_array_equal(found["hist"], expected)
    assert expected.sum() > COUNT / 40


def test_the_pairs_of_the_same_colours(api: quickdb.Api, store: Store) -> None:
    ra, dec, other_ra, other_dec = run("pairs", api)["coords"]
    apart = healpix.unit_vectors(np.degrees(ra), np.degrees(dec)) - healpix.unit_vectors(
        np.degrees(other_ra), np.degrees(other_dec)
    )
    assert (np.linalg.norm(apart, axis=1) < np.radians(2 / 3600) * (1 + 1e-9)).all()
    names = ["source_id", "ra", "dec", "isprimary", *(f"{band}_{flag}" for band in "gri" for flag in FLAGS)]
    table = open_catalog(store, "s20a_wide_forced").table(names)
    mag = magnitudes(store)
    clean = table["isprimary"].to_numpy() & (mag["i"] < 23)
    for name in names[4:]:
        clean &= ~pc.fill_null(table[name], False).to_numpy()
    rows = np.flatnonzero(clean)
    places = healpix.unit_vectors(table["ra"].to_numpy()[rows], table["dec"].to_numpy()[rows])
    a, b = rows[cKDTree(places).query_pairs(np.radians(2 / 3600), output_type="ndarray").T]
    g_r, r_i = mag["g"] - mag["r"], mag["r"] - mag["i"]
    alike = (np.abs(g_r[a] - g_r[b]) < 0.25) & (np.abs(r_i[a] - r_i[b]) < 0.25)
    assert 0 <= alike.sum() - len(ra) <= 0.01 * alike.sum(), "a pair may lie across the edge of two patches"
    source_id = table["source_id"].to_numpy()
    everywhere = {frozenset(pair) for pair in zip(source_id[a[alike]], source_id[b[alike]], strict=True)}
    truth = read_truth(store, pairs_key("s20a_wide")).to_pydict()
    true = {frozenset(pair) for pair in zip(truth["source_id_a"], truth["source_id_b"], strict=True)}
    usable = {pair for pair in true if pair <= set(source_id[rows[np.isfinite(g_r[rows] + r_i[rows])]].tolist())}
    assert len(everywhere & usable) > 0.95 * len(usable) > 100
