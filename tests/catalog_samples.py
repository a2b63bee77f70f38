"""Small light-curve rows and stores that the tests of the catalog share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.format import healpix, schema
from gozen.catalog.format.schema import lightcurve_table
from gozen.errors import StorageUnavailable

IDENTITY = ("exposure", "run", "sensor", "frame", "ra_meas", "dec_meas")


@dataclass(frozen=True)
class Field:
    """Stars of one field, the last few of which no reference catalogue has."""

    source_id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    lone: int


def field_of(
    count: int = 12, lone: int = 3, ra: float = 150.0, dec: float = 2.3, size: float = 0.5, seed: int = 7
) -> Field:
    """Make stars with Gaia-shaped ids."""
    random = np.random.default_rng(seed)
    ra_of = ra + random.uniform(-size, size, count) / np.cos(np.radians(dec))
    dec_of = dec + random.uniform(-size, size, count)
    ids = (healpix.pixels(ra_of, dec_of, 12) << 35) | (random.permutation(count) + 1 << 7)
    return Field(ids, ra_of % 360, dec_of, lone)


def rows_of(
    field: Field,
    night: int,
    exposure: str,
    run: str = "r1",
    sensor: int = 111,
    frames: int = 3,
    further: tuple[int, ...] = (),
    offset_arcsec: float = 0.1,
    **constant: object,
) -> pa.Table:
    """Make the rows of one sensor's exposure, frame by frame, measured a little off the catalogue.

    What is constant in all rows, such as ``filter="R"``, may be given as well.
    """
    count = len(field.ra)
    random = np.random.default_rng([night, sensor, *exposure.encode(), *run.encode()])
    lone = np.tile(np.arange(count) >= count - field.lone, frames)
    frame = np.repeat(np.arange(frames), count)
    flux = random.normal(1000, 30, count * frames)
    shift = offset_arcsec / 3600 * random.uniform(-1, 1, (2, count))
    masked = {
        name: np.ma.masked_array(np.tile(getattr(field, name), frames), lone) for name in ("source_id", "ra", "dec")
    }
    columns = {
        **masked,
        "ra_meas": np.tile(field.ra + shift[0], frames),
        "dec_meas": np.tile(field.dec + shift[1], frames),
        "mjd": 60000 + night % 10000 + int(exposure) / 1000 + frame * 0.5 / 86400,
        "flux": flux,
        "flux_err": np.full(count * frames, 30.0),
        "flags": np.zeros(count * frames, np.uint16),
        "frame": frame,
        **{f"flux_{d}": flux / 2 for d in further},
        **{f"flux_err_{d}": flux / 90 for d in further},
        "origin": pa.repeat("stack", count * frames),
        "night": pa.repeat(night, count * frames),
        "exposure": pa.repeat(exposure, count * frames),
        "run": pa.repeat(run, count * frames),
        "sensor": pa.repeat(sensor, count * frames),
        **{name: pa.repeat(value, count * frames) for name, value in constant.items()},
    }
    return lightcurve_table(columns, further)


@contextmanager
def older_gozen() -> Iterator[None]:
    """Write tables as before rows said in which filter and aperture they were measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_FLUX", schema._aperture("21-pixel-diameter aperture", ""))
        kept = tuple(column for column in schema._CALIBRATED if column.name not in ("filter", "aperture_diameter"))
        patch.setattr(schema, "_CALIBRATED", kept)
        yield


def identities(table: pa.Table) -> list[tuple[object, ...]]:
    """Return what tells rows apart, sorted; a row that counts twice stands there twice."""
    return sorted(zip(*(table.column(name).to_pylist() for name in IDENTITY), strict=True))


def directory_rows(root: Path, name: str) -> pa.Table | None:
    """Read a collection as LSDB does: by its properties, its list of partitions and its folders."""
    collection = root / "catalogs" / name
    if not (collection / "collection.properties").exists():
        return None
    lines = (collection / "collection.properties").read_text().splitlines()
    return generation_rows(
        collection / dict(line.split("=", 1) for line in lines if "=" in line)["hats_primary_table_url"]
    )


def generation_rows(main: Path) -> pa.Table | None:
    """Read a generation by its list of partitions and its folders."""
    parts = []
    for line in (main / "partition_info.csv").read_text().splitlines()[1:]:
        order, pixel = line.split(",")
        folder = main / f"dataset/Norder={order}/Dir={int(pixel) // 10000 * 10000}/Npix={pixel}"
        files = sorted(folder.iterdir())
        assert files, f"{folder} is listed and empty"
        parts += [pq.read_table(file, partitioning=None).select(IDENTITY) for file in files]
    return pa.concat_tables(parts) if parts else None


class DyingStore(DirectoryStore):
    """A directory on which the n-th write is the last thing that the process does not do."""

    def __init__(self, root: Path, survives: int) -> None:
        super().__init__(root)
        self.left = survives

    def _write_or_die(self) -> None:
        if self.left == 0:
            raise StorageUnavailable("killed here")
        self.left -= 1

    def write(self, key: str, data: bytes) -> None:
        self._write_or_die()
        super().write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._write_or_die()
        return super().create(key, data)

    def _link(self, key: str, to: str) -> None:
        self._write_or_die()
        super()._link(key, to)

    def delete(self, key: str) -> None:
        self._write_or_die()
        super().delete(key)


class RacingStore(DirectoryStore):
    """A directory where somebody else acts just before the first write under a prefix."""

    def __init__(self, root: Path, prefix: str, act: Callable[[], object]) -> None:
        super().__init__(root)
        self._prefix = prefix
        self._act: Callable[[], object] | None = act

    @property
    def acted(self) -> bool:
        """Whether there was such a write."""
        return self._act is None

    def _let_others_act(self, key: str) -> None:
        if key.startswith(self._prefix) and self._act is not None:
            act, self._act = self._act, None
            act()

    def write(self, key: str, data: bytes) -> None:
        self._let_others_act(key)
        super().write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._let_others_act(key)
        return super().create(key, data)

    def _link(self, key: str, to: str) -> None:
        self._let_others_act(to)
        super()._link(key, to)


def object_schema() -> pa.Schema:
    """Return the columns of a small object table with two bands."""
    columns = [
        ("_healpix_29", pa.int64()), ("source_id", pa.int64()), ("ra", pa.float64()), ("dec", pa.float64()),
        ("isprimary", pa.bool_()), ("parent_id", pa.int64()), ("kind", pa.string()), ("g_psfflux_flux", pa.float32()),
        ("r_psfflux_flux", pa.float32()),
    ]  # fmt: skip
    return pa.schema(columns, metadata={"gozen_bands": "g r"})


def objects_of(count: int, seed: int = 0, ra: float = 150.0, dec: float = 2.0, size: float = 1.0) -> pa.Table:
    """Make rows of an object table, some values of which are null."""
    random = np.random.default_rng(seed)
    ra_of = (ra + random.uniform(-size, size, count) / np.cos(np.radians(dec))) % 360
    dec_of = dec + random.uniform(-size, size, count)
    flux = random.lognormal(5, 1, (2, count)).astype(np.float32)
    columns = [
        pa.array(healpix.pixels(ra_of, dec_of)), pa.array(np.arange(count) + 1_000_000 * seed + 1), pa.array(ra_of),
        pa.array(dec_of), pa.array(random.random(count) < 0.9), pa.array(random.integers(0, 5, count)),
        pa.array(random.choice(["star", "galaxy", "quasar"], count).tolist()), pa.array(flux[0]),
        pa.array(flux[1], mask=random.random(count) < 0.1),
    ]  # fmt: skip
    return pa.table(columns, schema=object_schema())
