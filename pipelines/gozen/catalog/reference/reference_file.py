"""Read a user's star table as a reference catalogue; the usual column names are recognised."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.stores.open_store import open_store
from gozen.catalog.format.source_ids import own_id_of_position
from gozen.catalog.imports import table_stream
from gozen.catalog.imports.angle_units import factor
from gozen.catalog.imports.column_roles import WORDS, recognised
from gozen.catalog.imports.formats.file_request import FileRequest
from gozen.catalog.imports.object_ids import exact_ids, ids_match_positions
from gozen.catalog.imports.position_columns import floats, places, units_asked
from gozen.catalog.imports.split_positions import parts_of, refuse_units, split_angles, with_joined
from gozen.errors import BadRequest, GozenError, StorageUnavailable, UnreadableInput
from gozen.settings import ReferenceFileSettings, StorageSettings

_VALUES = ("pmra", "pmdec", "parallax", "ruwe", "g", "bp_rp")
_STATED_EPOCH = re.compile(r"\bEp(?:och)?\s*=?\s*J?(\d{4}(?:\.\d+)?)", re.IGNORECASE)
_J2000_NAMES = ("j2000", "ra2000")
_J2000 = 2000.0
_GAIA_DR3_EPOCH = 2016.0
_UNITS: Mapping[str, str] = {"pmra": "mas/yr", "pmdec": "mas/yr", "parallax": "mas"}
_YEARS = (1800.0, 2200.0)
_NOTHING_SAID = ReferenceFileSettings()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StarColumns:
    """Stars of a file: each position at its own epoch, NaN for unknown values, arrays of shape (N,)."""

    source_id: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    epochs: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]


def read_bytes(url: str, storage: StorageSettings | None = None) -> bytes:
    """Read a file from a path or any fsspec URL, S3 with the site's settings.

    Raises
    ------
    UnreadableInput
        The file cannot be read.
    StorageUnavailable
        The storage does not answer.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    try:
        return open_store(parent or ("/" if url.startswith("/") else "."), storage).read(name)
    except StorageUnavailable:
        raise
    except GozenError as error:
        raise UnreadableInput(f"cannot read the table {url}: {error}") from error


def read_columns(
    url: str, mapping: Mapping[str, str], data: bytes | None = None, said: ReferenceFileSettings = _NOTHING_SAID
) -> StarColumns:
    """Read the columns of a reference catalogue from a file.

    Parameters
    ----------
    url
        A path or any fsspec URL.
    mapping
        The file's column name for each quantity (keys as in `WORDS`); it overrides the recognised names.
    data
        The file's bytes, if they have been read already.
    said
        The user's choices: the table of the file, the unit of positions and the text encoding.

    Raises
    ------
    BadRequest
        A key of the mapping is not known, or the unit is not one of angles.
    UnreadableInput
        The file cannot be read, lacks a mapped column, has no ra and dec, or has a unit that does not fit a column.
    """
    unknown = sorted(set(mapping) - set(WORDS))
    if unknown:
        raise BadRequest(
            f"columns: {unknown[0]!r} is not a column of a reference catalogue; its columns are {', '.join(WORDS)}"
        )
    units = units_asked(said.unit)
    named = frozenset(mapping[word] for word in ("ra", "dec") if word in mapping)
    asked = FileRequest(said.hdu, said.encoding, named)
    file = table_stream.open_table_stream(url, data=read_bytes(url) if data is None else data, asked=asked)
    has_names = file.schema.names
    names = recognised(has_names) | dict(mapping)
    splits = {word: one for word, one in split_angles(has_names).items() if word not in names}
    lost = [name for name in names.values() if name not in has_names]
    missing = ", ".join(lost) or " and ".join(word for word in ("ra", "dec") if word not in {*names, *splits})
    if missing:
        has = ", ".join(has_names) or "none"
        raise UnreadableInput(
            f"the reference catalogue {url} has no column for {missing}; it has {has}: "
            "name them with columns={'ra': ..., 'dec': ...}, or with the setting reference_file.columns"
        )
    refuse_units(url, splits, said.unit)
    table = file.columns(list(dict.fromkeys([*names.values(), *parts_of(splits)])))
    table = with_joined(url, table, splits.values())
    usual_epoch = _J2000 if "ra" in splits else _GAIA_DR3_EPOCH
    return _picked(url, table, names | {word: one.label for word, one in splits.items()}, units, usual_epoch)


def _picked(
    url: str, table: pa.Table, names: Mapping[str, str], units: Mapping[str, str], usual_epoch: float
) -> StarColumns:
    def number(word: str) -> NDArray[np.float64]:
        factor = _factor(url, table.field(names[word]), word)
        return floats(url, names[word], table.column(names[word])) * factor

    at = places(url, table, {"ra": names["ra"], "dec": names["dec"]}, units)
    for note in at.notes:
        log.warning("the reference catalogue %s: %s", url, note)
    ra, dec, good = at.ra, at.dec, at.good
    values = {word: number(word) if word in names else np.full(len(ra), np.nan) for word in _VALUES}
    if "bp_rp" not in names and "bp" in names and "rp" in names:
        values["bp_rp"] = number("bp") - number("rp")
    stated = _stated_epoch(names["ra"], _description(table.field(names["ra"])), usual_epoch)
    epochs = number("ref_epoch") if "ref_epoch" in names else np.full(len(ra), stated)
    epochs = np.where(np.isfinite(epochs), epochs, stated)[good]
    if len(epochs) and not _YEARS[0] <= epochs.min() <= epochs.max() <= _YEARS[1]:
        wrong = epochs[(epochs < _YEARS[0]) | (epochs > _YEARS[1])][0]
        column = names.get("ref_epoch", names["ra"])
        raise UnreadableInput(
            f"the column {column} of the table {url} has the epoch {wrong:g}: give Julian years, such as 2016.0"
        )
    ra, dec = ra[good] % 360.0, dec[good]
    kept = exact_ids(table.column(names["source_id"]).filter(pa.array(good)))[1] if "source_id" in names else None
    if kept is None or not ids_match_positions(kept, ra, dec):
        kept = own_id_of_position(ra, dec)
    return StarColumns(kept, ra, dec, epochs, {word: array[good] for word, array in values.items()})


def _factor(url: str, field: pa.Field, word: str) -> float:
    """Return the factor that converts a column to mas/yr or mas; 1 if the column states no unit or needs none."""
    unit: str = (field.metadata or {}).get(b"unit", b"").decode().strip()
    if word not in _UNITS or not unit:
        return 1.0
    found = factor(unit, _UNITS[word])
    if found is None:
        raise UnreadableInput(
            f"the column {field.name} of the table {url} has the unit {unit!r}: convert its values to {_UNITS[word]}"
        )
    return found


def _stated_epoch(name: str, description: str, usual: float) -> float:
    stated = _STATED_EPOCH.search(description)
    if stated:
        return float(stated.group(1))
    return _J2000 if any(part in name.lower() for part in _J2000_NAMES) else usual


def _description(field: pa.Field) -> str:
    said: bytes = (field.metadata or {}).get(b"description", b"")
    return said.decode()
