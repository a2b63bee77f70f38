"""Import a user's table as a collection: find positions and ids, keep all other columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import healpix, source_ids
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.schema import Column
from gozen.catalog.imports import table_stream
from gozen.catalog.imports.column_roles import recognised, spellings_of
from gozen.catalog.imports.formats.column_types import plain_field
from gozen.catalog.imports.formats.file_request import FileRequest, NotATableError
from gozen.catalog.imports.object_ids import ids_of
from gozen.catalog.imports.position_columns import places, units_asked
from gozen.catalog.imports.split_positions import SplitAngle, parts_of, refuse_units, split_angles, with_joined
from gozen.catalog.imports.table_stream import TableStream
from gozen.catalog.write.table_options import DEFAULT_OPTIONS, TableOptions
from gozen.catalog.write.write_table import KEYS, write_table
from gozen.errors import BadRequest, UnreadableInput
from gozen.settings import StorageSettings

_MOST_AT_ONE_PLACE = 1000
_KEY_FIELDS = (
    Column("_healpix_29", pa.int64(), "", "nested HEALPix pixel of (`ra`, `dec`), order 29", "delta").field(),
    Column("source_id", pa.int64(), "", "the file's id, or one that Gozen made (bit 34 set)", "delta").field(),
    Column("ra", pa.float64(), "deg", "right ascension as in the file").field(),
    Column("dec", pa.float64(), "deg", "declination as in the file").field(),
)


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Parameters
    ----------
    version
        The manifest of the table.
    ra, dec
        The file's columns of the positions; names are joined by commas if an angle is in several columns.
    source
        The file's column from which ``source_id`` was read; empty if Gozen made the ids.
    left_out
        Number of rows without a position, which were not imported.
    notes
        Sentences about suspicious positions.
    """

    version: Manifest
    ra: str
    dec: str
    source: str
    left_out: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportRequest:
    """A user's choices for an import; None means that the file decides.

    Parameters
    ----------
    ra, dec
        Columns of the positions; by default those with usual names. Other units and sexagesimal text are converted to
        degrees.
    source_id
        Column of the ids. An object can be looked up by its id only if the id contains its position, as Gaia's ids do.
        If most ids do not, they are imported as an ordinary column, and Gozen makes new ids from the positions.
    unit
        Unit of the positions, which overrides the file's: ``rad``, ``arcsec`` or, one for each, ``hourangle,deg``.
    hdu
        Table of a FITS file (number or EXTNAME) or of a VOTable (number, ID or name).
    encoding
        Encoding of a text file that is neither UTF-8 nor has a byte order mark.
    data
        The file's bytes, if they have been read already.
    storage
        Access to S3, if the file is there.
    """

    ra: str | None = None
    dec: str | None = None
    source_id: str | None = None
    unit: str | None = None
    hdu: str | None = None
    encoding: str | None = None
    data: bytes | None = None
    storage: StorageSettings | None = None

    def open(self, url: str) -> TableStream:
        """Open the file."""
        mine = frozenset(one for one in (self.ra, self.dec) if one is not None)
        return table_stream.open_table_stream(url, self.storage, self.data, FileRequest(self.hdu, self.encoding, mine))

    def columns(self, url: str, names: list[str]) -> tuple[dict[str, str], dict[str, SplitAngle]]:
        """Return the file's column names of position and id, and the angles that are split over several columns."""
        return _found(url, names, {"ra": self.ra, "dec": self.dec, "source_id": self.source_id})


@dataclass(frozen=True)
class _Located:
    """The rows of a file that have a position.

    Parameters
    ----------
    columns
        The file's column names of position and id.
    good
        Mask of these rows, one element for each row of the file.
    identity, ra, dec
        Ids and positions (degrees) of these rows only.
    source
        The file's column of ``identity``; empty if Gozen made the ids.
    """

    columns: Mapping[str, str]
    good: NDArray[np.bool_]
    identity: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    source: str
    notes: tuple[str, ...]


def import_table(
    store: Store,
    url: str,
    name: str,
    request: ImportRequest = ImportRequest(),
    options: TableOptions = DEFAULT_OPTIONS,
) -> Imported:
    """Import a table file as a collection; importing the same file again changes nothing.

    Parquet, Arrow, FITS and CSV are read in batches; only positions and ids are kept in memory, 24 bytes a row. Other
    formats, compressed Parquet files, and FITS tables in ASCII or with arrays of variable length are read into memory
    completely.

    Parameters
    ----------
    store
        The archive.
    url
        FITS, CSV, ECSV, Parquet, Arrow or VOTable file: a path or any fsspec URL.
    name
        Name of the collection.
    request
        Columns, units and encoding, if the file does not state them.
    options
        Options of the table that is written.

    Raises
    ------
    BadRequest
        A named column does not exist, a named id column does not have one id for each row, more than a thousand rows
        share a position, or the archive has another table of this name.
    UnreadableInput
        The file cannot be read, has no positions, its positions are not angles, or it changed during the import.
    """
    units = units_asked(request.unit)
    file = request.open(url)
    rows = _located(file, request, units)
    taken = (rows.columns["ra"], rows.columns["dec"], rows.source, KEYS[0])
    rest = [one for one in file.schema.names if one not in taken]
    schema = pa.schema([*_KEY_FIELDS, *_kept_fields(url, file.schema, rest)])
    version = write_table(store, name, schema, _pieces(file, rest, schema, rows), options)
    left_out = int((~rows.good).sum())
    return Imported(version, rows.columns["ra"], rows.columns["dec"], rows.source, left_out, rows.notes)


def _located(file: TableStream, request: ImportRequest, units: Mapping[str, str]) -> _Located:
    found, splits = request.columns(file.url, file.schema.names)
    refuse_units(file.url, splits, request.unit)
    keys = file.columns(list(dict.fromkeys([*found.values(), *parts_of(splits)])))
    keys = with_joined(file.url, keys, splits.values())
    found |= {word: one.label for word, one in splits.items()}
    at = places(file.url, keys, {"ra": found["ra"], "dec": found["dec"]}, units)
    good = at.good
    if not good.any():
        raise UnreadableInput(
            f"the table {file.url} has no row with a position in {found['ra']} and {found['dec']}: check these "
            "columns, or name others by --ra and --dec"
        )
    ra, dec = at.ra[good] % 360.0, at.dec[good]
    must = request.source_id is not None
    given = ids_of(file.url, keys.filter(pa.array(good)), found.get("source_id"), (ra, dec), must=must)
    source = "" if given is None else found["source_id"]
    return _Located(found, good, own_ids(ra, dec) if given is None else given, ra, dec, source, at.notes)


def _pieces(file: TableStream, rest: Sequence[str], schema: pa.Schema, rows: _Located) -> Iterator[pa.Table]:
    """Yield the rows that have a position, with their ids and positions, in the schema's columns."""
    at = done = 0
    for batch in file.batches(rest or file.schema.names[:1]):
        mine = rows.good[at : at + len(batch)]
        at += len(batch)
        if len(mine) < len(batch):
            break
        kept = batch.filter(pa.array(mine))
        identity, ra, dec = (one[done : done + len(kept)] for one in (rows.identity, rows.ra, rows.dec))
        done += len(kept)
        arrays = [pa.array(one) for one in (healpix.pixels(ra, dec), identity, ra, dec)]
        columns = [kept.column(one).cast(f.type) for one, f in zip(rest, list(schema)[4:], strict=True)]
        yield pa.Table.from_arrays([*arrays, *columns], schema=schema)
    if at != len(rows.good) or not file.is_unchanged():
        raise UnreadableInput(
            f"the table {file.url} changed while it was read: import it again when no process writes to it"
        )


def own_ids(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """Make ids from positions in degrees; rows at the same position get different ids, in their order.

    Raises
    ------
    BadRequest
        More than a thousand rows share a position: they are measurements, not objects.
    """
    found = source_ids.own_id_of_position(ra, dec)
    for _ in range(_MOST_AT_ONE_PLACE):
        order = np.argsort(found, kind="stable")
        same = order[1:][found[order[1:]] == found[order[:-1]]]
        if not len(same):
            return found
        found[same] = source_ids.next_to(found[same])
    at = int(same[0])
    raise BadRequest(
        f"more than {_MOST_AT_ONE_PLACE} rows have the position ra {ra[at]:.6f}, dec {dec[at]:.6f}: import a table "
        "with one row for each object"
    )


def _found(url: str, names: list[str], named: dict[str, str | None]) -> tuple[dict[str, str], dict[str, SplitAngle]]:
    """Return the file's column names of position and id, and the angles that are split over several columns."""
    has = ", ".join(names) or "none"
    lost = [one for one in named.values() if one is not None and one not in names]
    if lost:
        raise BadRequest(f"the table {url} has no column {', '.join(lost)}; it has {has}")
    usual = recognised(names)
    doubtful = [spellings_of(names, usual[word]) for word in ("ra", "dec") if word in usual and named[word] is None]
    if any(len(one) > 1 for one in doubtful):
        both = " and ".join(next(one for one in doubtful if len(one) > 1))
        raise UnreadableInput(f"the table {url} has the columns {both}: choose one with --ra or --dec")
    found = usual | {word: one for word, one in named.items() if one is not None}
    splits = {word: one for word, one in split_angles(names).items() if word not in found}
    missing = [word for word in ("ra", "dec") if word not in found and word not in splits]
    if missing:
        raise UnreadableInput(
            f"no column of the table {url} has a known name for {' and '.join(missing)}; it has {has}: name the "
            "columns with --ra and --dec"
        )
    return {word: found[word] for word in ("ra", "dec", "source_id") if word in found}, splits


def _kept_fields(url: str, schema: pa.Schema, rest: Sequence[str]) -> list[pa.Field]:
    """Return the fields of the other columns; one that is named like a key column gets the suffix ``_file``."""
    taken, fields = {*KEYS, *(name.lower() for name in rest if name.lower() not in KEYS)}, []
    for name in rest:
        try:
            field = plain_field(schema.field(name))
        except NotATableError as error:
            raise UnreadableInput(f"cannot import the table {url}: {error}") from error
        label = name
        while name.lower() in KEYS and label.lower() in taken:
            label = f"{label}_file"
        taken.add(label.lower())
        said = {key: text for key, text in (field.metadata or {}).items() if key in (b"unit", b"description")}
        fields.append(pa.field(label, field.type, metadata=said or None))
    return fields
