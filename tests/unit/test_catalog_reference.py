"""Test the reference catalogue: users' files, proper motion, cones, and the HATS collection made from it.

Covered: column names of the Gaia archive, VizieR and plain tables; names that the user gives; invalid ids; epochs;
unreadable files; motion across the pole and across ra 0; cones; writing, reading back, and refusal to overwrite. LSDB's
cross-match with the margin: tests/real.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time

from gozen.archive.stores.open_store import open_store
from gozen.catalog.format import healpix, source_ids
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue, propagated, read_reference
from gozen.catalog.reference.reference_table import reference_cone, write_reference
from gozen.catalog.write.write_table import partitions_of
from gozen.errors import BadRequest, MissingObject, UnreadableInput


def catalogue(
    count: int = 400, ra: float = 0.1, dec: float = -0.2, size: float = 1.0, seed: int = 3
) -> ReferenceCatalogue:
    random = np.random.default_rng(seed)
    ra_of, dec_of = (ra + random.uniform(-size, size, count)) % 360, dec + random.uniform(-size, size, count)
    unknown = np.full(count, np.nan)
    return ReferenceCatalogue(
        source_ids.own_id_of_position(ra_of, dec_of), ra_of, dec_of, *random.normal(0, 50, (2, count)),
        unknown, unknown, random.uniform(10, 18, count), unknown, 2016.0,
    )  # fmt: skip


def gaia_columns() -> dict[str, np.ndarray]:
    ra, dec = np.array([10.0, 20.0]), np.array([1.0, 2.0])
    return {
        "source_id": (healpix.pixels(ra, dec, 12) << 35) | 128,
        "ra": ra,
        "dec": dec,
        "pmra": np.array([1.0, np.nan]),
        "pmdec": np.array([2.0, np.nan]),
        "parallax": np.array([3.0, 4.0]),
        "ruwe": np.array([1.0, 1.1]),
        "phot_g_mean_mag": np.array([12.0, 13.0]),
        "bp_rp": np.array([0.5, 0.6]),
        "ref_epoch": np.array([2016.0, 2016.0]),
    }


@pytest.mark.parametrize("name", ["gaia.parquet", "gaia.fits", "gaia.fits.gz", "gaia.ecsv", "gaia.csv"])
def test_the_gaia_archives_names_are_read_from_every_format(tmp_path: Path, name: str) -> None:
    columns = gaia_columns()
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table(columns), path)
    else:
        Table(columns).write(path, format="ascii.ecsv" if name.endswith("ecsv") else None)
    found = read_reference(path)
    np.testing.assert_array_equal(found.source_id, columns["source_id"])
    np.testing.assert_array_equal(found.pmra, columns["pmra"])
    np.testing.assert_array_equal(found.g, columns["phot_g_mean_mag"])
    np.testing.assert_array_equal(found.bp_rp, columns["bp_rp"])
    assert type(found.g) is np.ndarray
    assert found.epoch == 2016.0


def test_vizier_names_colours_and_epochs(tmp_path: Path) -> None:
    table = Table(
        {"RAJ2000": [10.0], "DEJ2000": [1.0], "gmag": [9.0], "Gmag": [11.0], "BPmag": [12.0], "RPmag": [11.25]}
    )
    table.write(tmp_path / "v.ecsv")
    found = read_reference(tmp_path / "v.ecsv")
    assert (found.g[0], found.bp_rp[0], found.epoch) == (11.0, 0.75, 2000.0)
    assert np.isnan(found.pmra[0])
    assert source_ids.is_own(found.source_id).all()


def test_the_epoch_that_a_description_states_counts(tmp_path: Path) -> None:
    table = Table({"RA_ICRS": [10.0], "DE_ICRS": [1.0]})
    table["RA_ICRS"].description = "Right ascension (ICRS) at Ep=2015.5"
    table.write(tmp_path / "v.ecsv")
    assert read_reference(tmp_path / "v.ecsv").epoch == 2015.5
    assert read_reference(tmp_path / "v.ecsv", epoch=1991.25).epoch == 1991.25


def test_a_stated_epoch_beyond_all_catalogues_names_the_column(tmp_path: Path) -> None:
    table = Table({"RA_ICRS": [10.0], "DE_ICRS": [1.0]})
    table["RA_ICRS"].description = "Right ascension (ICRS) at Ep=1750.0"
    table.write(tmp_path / "v.ecsv")
    with pytest.raises(UnreadableInput, match=r"RA_ICRS of the table .* has the epoch 1750: give Julian years"):
        read_reference(tmp_path / "v.ecsv")


def test_running_numbers_are_no_ids(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "RA": [10.0, 20.0], "DEC": [1.0, 2.0]}), tmp_path / "s.parquet")
    found = read_reference(tmp_path / "s.parquet")
    np.testing.assert_array_equal(found.source_id, source_ids.own_id_of_position([10.0, 20.0], [1.0, 2.0]))


def test_explicit_names_win(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ra": [1.0], "a": [10.0], "d": [5.0], "m": [9.5]}), tmp_path / "s.parquet")
    found = read_reference(tmp_path / "s.parquet", columns={"ra": "a", "dec": "d", "g": "m"})
    assert (found.ra[0], found.dec[0], found.g[0]) == (10.0, 5.0, 9.5)


def test_rows_without_a_position_are_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ra": [1.0, None, 3.0], "dec": [1.0, 2.0, np.nan]}), tmp_path / "s.parquet")
    assert read_reference(tmp_path / "s.parquet").ra.tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.fits", None, "no such file"),
        ("broken.fits", b"SIMPLE  =", "as Parquet, FITS, VOTable, ECSV, Arrow or CSV"),
        ("broken.parquet", b"PAR1 and no more", "as Parquet, FITS, VOTable, ECSV, Arrow or CSV"),
        ("other.csv", b"time,flux\n1,2\n", "time, flux"),
        ("words.csv", b"ra,dec\n08:18:29,north\n", "row 1 of the column dec .* 'north', is not an angle"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableInput, match=says) as caught:
        read_reference(tmp_path / name)
    assert name in str(caught.value)


def test_a_mapping_to_an_unknown_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="colour"):
        read_reference(tmp_path / "x.csv", columns={"colour": "bp_rp"})


@pytest.mark.filterwarnings("ignore:ERFA")  # a star so far away has no parallax, which is what is wanted
@pytest.mark.parametrize(("ra", "dec"), [(10.0, 40.0), (0.00001, -5.0), (120.0, 89.9999), (300.0, -89.99999)])
def test_proper_motion_agrees_with_astropy(ra: float, dec: float) -> None:
    pm = (-3000.0, 10000.0)
    there = SkyCoord(
        ra * units.deg, dec * units.deg, pm_ra_cosdec=pm[0] * units.mas / units.yr, pm_dec=pm[1] * units.mas / units.yr,
        distance=1e6 * units.pc, obstime=Time("J2016"),
    ).apply_space_motion(Time("J2026"))  # fmt: skip
    found = propagated(np.array([ra]), np.array([dec]), np.array([pm[0]]), np.array([pm[1]]), 10.0)
    assert SkyCoord(*found, unit="deg").separation(SkyCoord(there.ra, there.dec))[0].to_value("mas") < 0.5
    assert 0 <= found[0][0] < 360


def test_a_star_of_unknown_motion_stays() -> None:
    stars = catalogue()
    still = ReferenceCatalogue(
        **{**stars.__dict__, "pmra": np.full(len(stars), np.nan), "pmdec": np.full(len(stars), np.nan)}
    )
    ra, dec = still.at_epoch(2030.0)
    np.testing.assert_array_equal(ra, still.ra)
    np.testing.assert_array_equal(dec, still.dec)


def test_a_cone_across_ra_zero_and_at_the_pole() -> None:
    stars = catalogue()
    there = SkyCoord(stars.ra, stars.dec, unit="deg").separation(SkyCoord(359.9, -0.1, unit="deg")).deg
    assert set(stars.cone(359.9, -0.1, 0.5).source_id) == set(stars.source_id[there <= 0.5])
    polar = catalogue(dec=89.0, ra=180.0, size=0.9)
    there = SkyCoord(polar.ra, polar.dec, unit="deg").separation(SkyCoord(0.0, 90.0, unit="deg")).deg
    assert set(polar.cone(0.0, 90.0, 1.0).source_id) == set(polar.source_id[there <= 1.0])


def test_the_collection_gives_the_same_cone(tmp_path: Path) -> None:
    store, stars = open_store(tmp_path), catalogue()
    version = write_reference(store, "gaia", stars, partition_rows=60)
    assert len(version.partitions) > 4
    found = reference_cone(store, "gaia", 0.0, 0.0, 0.4)
    wanted = stars.cone(0.0, 0.0, 0.4)
    by_id, also = np.argsort(found.source_id), np.argsort(wanted.source_id)
    assert len(found) > 20
    for name in ("source_id", "ra", "dec", "pmra", "pmdec", "parallax"):
        np.testing.assert_array_equal(getattr(found, name)[by_id], getattr(wanted, name)[also])
    np.testing.assert_array_equal(found.g[by_id], wanted.g[also].astype(np.float32))
    assert found.epoch == 2016.0


def test_a_reference_table_is_immutable(tmp_path: Path) -> None:
    store, stars = open_store(tmp_path), catalogue()
    write_reference(store, "gaia", stars)
    before = {key: store.read(key) for key in store.list("catalogs")}
    write_reference(store, "gaia", stars)
    assert {key: store.read(key) for key in store.list("catalogs")} == before
    with pytest.raises(BadRequest, match="another name"):
        write_reference(store, "gaia", stars[:10])
    with pytest.raises(MissingObject, match="tycho"):
        reference_cone(store, "tycho", 0.0, 0.0, 0.1)


def test_the_margin_holds_every_star_within_five_arcsec_of_a_partition(tmp_path: Path) -> None:
    store, stars = open_store(tmp_path), catalogue(count=20_000, size=0.3)
    version = write_reference(store, "gaia", stars, partition_rows=2000)
    everywhere = healpix.pixels(stars.ra, stars.dec)
    for partition in version.partitions:
        inside = (everywhere >= partition.start) & (everywhere < partition.stop)
        sky = SkyCoord(stars.ra, stars.dec, unit="deg")
        near = sky[~inside].match_to_catalog_sky(sky[inside])[1].arcsec < 5
        folder = f"catalogs/gaia/{version.margin}/dataset/{partition.folder}"
        kept = {
            i
            for key in store.list(folder)
            for i in pq.read_table(store.path(key), partitioning=None)["source_id"].to_pylist()
        }
        assert set(stars.source_id[~inside][near].tolist()) <= kept
        assert not kept & set(stars.source_id[inside].tolist())


def test_partitions_split_until_they_are_small() -> None:
    places = np.sort(healpix.pixels(catalogue(5000).ra, catalogue(5000).dec))
    found = partitions_of(lambda start, stop: int(np.diff(np.searchsorted(places, [start, stop]))[0]), 500)
    sizes = [np.searchsorted(places, p.stop) - np.searchsorted(places, p.start) for p in found]
    assert sum(sizes) == 5000
    assert max(sizes) <= 500
    assert all(one.stop <= other.start for one, other in itertools.pairwise(found))
