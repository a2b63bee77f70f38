"""Tables of stars as people have them, their columns recognised by the usual names (formats: `table_file`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.store import open_store
from gozen.catalog import healpix, table_file
from gozen.catalog.ids import PIXEL_ORDER, own_id_of_position, pixel_of
from gozen.errors import BadRequest, GozenError, StorageUnavailable, UnreadableInput
from gozen.settings import StorageSettings

# Names as the Gaia archive, VizieR (exact case: Gmag is Gaia's G, gmag is Sloan's g) and plain tables spell them.
_EXACT: Mapping[str, tuple[str, ...]] = {
    "g": ("phot_g_mean_mag", "Gmag", "G", "MAG", "mag", "MAG_INST", "mag_inst", "MAG_AUTO"),
    "bp_rp": ("bp_rp", "BP-RP", "BP_RP", "bp-rp"),
    "bp": ("phot_bp_mean_mag", "BPmag", "BP"),
    "rp": ("phot_rp_mean_mag", "RPmag", "RP"),
}
_ANY_CASE: Mapping[str, tuple[str, ...]] = {
    "source_id": ("source_id", "source", "gaia_source_id", "dr3_source_id", "gaia_id", "id"),
    "ra": ("ra", "ra_icrs", "raj2000", "_raj2000", "ra_deg", "ra2000", "alpha_j2000", "radeg"),
    "dec": ("dec", "de_icrs", "dec_icrs", "dej2000", "_dej2000", "dec_deg", "dec2000", "delta_j2000", "dedeg"),
    "pmra": ("pmra", "pm_ra_cosdec", "pm_ra"),
    "pmdec": ("pmdec", "pmde", "pm_dec"),
    "parallax": ("parallax", "plx"),
    "ruwe": ("ruwe",),
    "ref_epoch": ("ref_epoch", "epoch"),
}
_WORDS = (*_ANY_CASE, *_EXACT)
_VALUES = ("pmra", "pmdec", "parallax", "ruwe", "g", "bp_rp")
_STATED_EPOCH = re.compile(r"\bEp(?:och)?\s*=?\s*J?(\d{4}(?:\.\d+)?)", re.IGNORECASE)
_J2000_NAMES = ("j2000", "ra2000")
_GAIA_DR3_EPOCH = 2016.0
_SAMPLE = 64


@dataclass(frozen=True)
class StarColumns:
    """What a file says about its stars: positions each at its own epoch, NaN for unknown values, rows of length N."""

    source_id: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    epochs: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]


def read_bytes(url: str, storage: StorageSettings | None = None) -> bytes:
    """Read a file from a path or any fsspec URL, S3 with the site's settings; `UnreadableInput` where it cannot be."""
    parent, _, name = url.rstrip("/").rpartition("/")
    try:
        return open_store(parent or ("/" if url.startswith("/") else "."), storage).read(name)
    except StorageUnavailable:
        raise
    except GozenError as error:
        raise UnreadableInput(f"cannot read the table {url}: {error}") from error


def read_columns(url: str, mapping: Mapping[str, str], data: bytes | None = None) -> StarColumns:
    """Read a file and pick its columns.

    Parameters
    ----------
    url
        A path or any fsspec URL.
    mapping
        The file's names of our columns, over the recognised ones.
    data
        Its bytes, where they have been read already.

    Raises
    ------
    BadRequest
        The mapping names a column of ours that does not exist.
    UnreadableInput
        The file cannot be read, lacks a mapped column, or has no ra and dec.
    """
    unknown = sorted(set(mapping) - set(_WORDS))
    if unknown:
        raise BadRequest(
            f"columns={{{unknown[0]!r}: ...}} is no column of a reference catalogue: {', '.join(_WORDS)} are"
        )
    table = read_whole(url, read_bytes(url) if data is None else data)
    names = recognised(table.column_names) | dict(mapping)
    lost = [name for name in names.values() if name not in table.column_names]
    if lost or "ra" not in names or "dec" not in names:
        missing = ", ".join(lost) or " and ".join(word for word in ("ra", "dec") if word not in names)
        has = ", ".join(table.column_names) or "none"
        raise UnreadableInput(
            f"the reference catalogue {url} has no column for {missing}; it has {has}: "
            "name them with columns={'ra': ..., 'dec': ...}"
        )
    return _picked(url, table, names)


def recognised(names: list[str]) -> dict[str, str]:
    """Return which of a file's column names holds what, by the usual spellings; the first in our order wins."""
    lower = {name.lower(): name for name in reversed(names)}
    any_case = {word: next((lower[n] for n in known if n in lower), None) for word, known in _ANY_CASE.items()}
    exact = {word: next((n for n in known if n in names), None) for word, known in _EXACT.items()}
    return {word: name for word, name in (any_case | exact).items() if name is not None}


def _picked(url: str, table: pa.Table, names: Mapping[str, str]) -> StarColumns:
    def number(word: str) -> NDArray[np.float64]:
        return floats(url, names[word], table.column(names[word]))

    ra, dec = number("ra"), number("dec")
    good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    values = {word: number(word) if word in names else np.full(len(ra), np.nan) for word in _VALUES}
    if "bp_rp" not in names and "bp" in names and "rp" in names:
        values["bp_rp"] = number("bp") - number("rp")
    stated = _stated_epoch(names["ra"], _description(table.field(names["ra"])))
    epochs = number("ref_epoch") if "ref_epoch" in names else np.full(len(ra), stated)
    ids = _integers(table.column(names["source_id"])) if "source_id" in names else None
    ra = ra % 360.0
    kept = None if ids is None else ids[good]
    if kept is None or not belong(kept, ra[good], dec[good]):
        kept = own_id_of_position(ra[good], dec[good])
    return StarColumns(
        source_id=kept,
        ra=ra[good],
        dec=dec[good],
        epochs=np.where(np.isfinite(epochs), epochs, stated)[good],
        values={word: array[good] for word, array in values.items()},
    )


def _stated_epoch(name: str, description: str) -> float:
    stated = _STATED_EPOCH.search(description)
    if stated:
        return float(stated.group(1))
    return 2000.0 if any(part in name.lower() for part in _J2000_NAMES) else _GAIA_DR3_EPOCH


def _description(field: pa.Field) -> str:
    said: bytes = (field.metadata or {}).get(b"description", b"")
    return said.decode()


def floats(url: str, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column of a file as numbers, NaN for null; `UnreadableInput` where it holds none."""
    try:
        return cast("NDArray[np.float64]", column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except (ValueError, TypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnreadableInput(
            f"the column {name} of the table {url} does not hold numbers: give degrees, mas, magnitudes"
        ) from error


def _integers(column: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """Return ids, or None where they are no integers or not one for each star."""
    if not pa.types.is_integer(column.type) or column.null_count:
        return None
    ids: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return ids if len(np.unique(ids)) == len(ids) else None


def belong(ids: NDArray[np.int64], ra: NDArray[np.float64], dec: NDArray[np.float64]) -> bool:
    """Tell Gaia's ids from running numbers: most of them carry a pixel near the star."""
    pixel = healpix.pixels(ra, dec, PIXEL_ORDER)
    near = [np.isin(pixel_of(one), healpix.with_neighbours(here, PIXEL_ORDER)) for one, here in _sample(ids, pixel)]
    return not near or float(np.mean(near)) > 0.5


def _sample(ids: NDArray[np.int64], pixel: NDArray[np.int64]) -> list[tuple[int, int]]:
    step = max(1, len(ids) // _SAMPLE)
    return [(int(one), int(here)) for one, here in zip(ids[::step], pixel[::step], strict=True)]


def read_whole(url: str, data: bytes) -> pa.Table:
    """Return the table of a file's bytes; `UnreadableInput` names a file that is none."""
    try:
        return table_file.parsed(url.rstrip("/").rpartition("/")[2], data)
    except Exception as error:
        raise UnreadableInput(f"cannot read the table {url} as {table_file.FORMATS}: {error}") from error
