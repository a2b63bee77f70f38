"""A user's own table becomes a collection: positions and ids found or named, every other column kept as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.store import Store
from gozen.catalog import healpix, ids, table_stream
from gozen.catalog.bucket import MEMORY
from gozen.catalog.manifest import Manifest
from gozen.catalog.reference_file import belong, floats, recognised
from gozen.catalog.schema import Column
from gozen.catalog.table_stream import TableStream
from gozen.catalog.whole import KEYS, MARGIN_ARCSEC, PARTITION_ROWS, write_table
from gozen.errors import BadRequest, UnreadableInput
from gozen.settings import StorageSettings

_DEGREES = {"rad": 180 / np.pi, "radian": 180 / np.pi, "hourangle": 15.0, "h": 15.0, "hour": 15.0}
_MOST_AT_ONE_PLACE = 1000
_KEY_FIELDS = (
    Column("_healpix_29", pa.int64(), "", "nested HEALPix pixel of (`ra`, `dec`), order 29", "delta").field(),
    Column("source_id", pa.int64(), "", "the file's id, or one of ours (bit 34 set)", "delta").field(),
    Column("ra", pa.float64(), "deg", "right ascension as in the file").field(),
    Column("dec", pa.float64(), "deg", "declination as in the file").field(),
)


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Parameters
    ----------
    version
        The table.
    ra, dec
        The file's columns that hold the positions.
    source
        Where ``source_id`` comes from: the file's column, or empty for ids of ours.
    left_out
        Rows without a position.
    """

    version: Manifest
    ra: str
    dec: str
    source: str
    left_out: int


def import_table(
    store: Store,
    url: str,
    name: str,
    *,
    ra: str | None = None,
    dec: str | None = None,
    source_id: str | None = None,
    data: bytes | None = None,
    storage: StorageSettings | None = None,
    partition_rows: int = PARTITION_ROWS,
    margin_arcsec: float | None = MARGIN_ARCSEC,
    memory: int = MEMORY,
) -> Imported:
    """Make a collection of a table file; imported again, nothing changes.

    Parquet and CSV are read in batches, and only positions and ids stay in memory, 24 bytes a row. Other formats, what
    is compressed as a whole, and a CSV whose first megabyte does not show the types of its columns are read whole.

    Parameters
    ----------
    store
        The archive.
    url
        FITS, CSV, ECSV, Parquet or VOTable, a path or any fsspec URL.
    name
        Of the collection.
    ra, dec
        Columns of the positions; those with the usual names where none are given. Radians and hours, where the file
        says so, become degrees.
    source_id
        The column of ids. Ids have to say where their objects are, as Gaia's do, to be looked up; others stay a column
        of their own and the objects get ids of ours, made from their positions.
    data
        The file's bytes, where they have been read already.
    storage
        How S3 is reached, where the file is there.
    partition_rows, margin_arcsec, memory
        As in `gozen.catalog.whole.write_table`.

    Raises
    ------
    BadRequest
        A column that was named is not there, two rows share an id, or the archive holds another table of this name.
    UnreadableInput
        The file cannot be read, has no positions, or they are no numbers.
    """
    file = table_stream.opened(url, storage, data)
    named = {"ra": ra, "dec": dec, "source_id": source_id}
    found = _found(url, file.schema.names, named)
    keys = file.columns(list(dict.fromkeys(found.values())))
    degrees = {word: _degrees(url, keys, found[word]) for word in ("ra", "dec")}
    good = np.isfinite(degrees["ra"]) & np.isfinite(degrees["dec"]) & (np.abs(degrees["dec"]) <= 90)
    if not good.any():
        raise UnreadableInput(f"the table {url} has no row with a position in {found['ra']} and {found['dec']}")
    place = degrees["ra"][good] % 360.0, degrees["dec"][good]
    given = _ids_of(keys.filter(pa.array(good)), found.get("source_id"), place, must=source_id is not None, url=url)
    source = "" if given is None else found["source_id"]
    identity = own_ids(*place) if given is None else given
    rest = [one for one in file.schema.names if one not in (found["ra"], found["dec"], source, KEYS[0])]
    fields = [file.schema.field(one).with_name(f"{one}_file" if one in KEYS else one) for one in rest]
    schema = pa.schema([*_KEY_FIELDS, *(_plain(field) for field in fields)])
    del keys, degrees
    version = write_table(
        store, name, schema, _pieces(file, rest, schema, good, (identity, *place)),
        partition_rows=partition_rows, margin_arcsec=margin_arcsec, memory=memory,
    )  # fmt: skip
    return Imported(version, found["ra"], found["dec"], source, int((~good).sum()))


def _pieces(
    file: TableStream,
    rest: Sequence[str],
    schema: pa.Schema,
    good: NDArray[np.bool_],
    known: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
) -> Iterator[pa.Table]:
    """Yield the rows that are good, with their ids and positions, in the schema's columns."""
    at = done = 0
    for batch in file.batches(rest or file.schema.names[:1]):
        mine = good[at : at + len(batch)]
        at += len(batch)
        if len(mine) < len(batch):
            break
        kept = batch.filter(pa.array(mine))
        identity, ra, dec = (one[done : done + len(kept)] for one in known)
        done += len(kept)
        arrays = [pa.array(one) for one in (healpix.pixels(ra, dec), identity, ra, dec)]
        columns = [kept.column(one).cast(f.type) for one, f in zip(rest, list(schema)[4:], strict=True)]
        yield pa.Table.from_arrays([*arrays, *columns], schema=schema)
    if at != len(good) or not file.is_unchanged():
        raise UnreadableInput(f"the table {file.url} changed while it was read: import it when nobody writes it")


def own_ids(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return ids of ours for positions in degrees, those at one place told apart by the rows' order.

    Raises
    ------
    BadRequest
        More than a thousand rows share a place: they are measurements, not objects.
    """
    found = ids.own_id_of_position(ra, dec)
    for _ in range(_MOST_AT_ONE_PLACE):
        order = np.argsort(found, kind="stable")
        same = order[1:][found[order[1:]] == found[order[:-1]]]
        if not len(same):
            return found
        found[same] = ids.next_to(found[same])
    at = int(same[0])
    raise BadRequest(
        f"more than {_MOST_AT_ONE_PLACE} rows lie at ra {ra[at]:.6f}, dec {dec[at]:.6f}: "
        "import a table with one row for each object"
    )


def _found(url: str, names: list[str], named: dict[str, str | None]) -> dict[str, str]:
    """Return the file's names of position and id."""
    has = ", ".join(names) or "none"
    lost = [one for one in named.values() if one is not None and one not in names]
    if lost:
        raise BadRequest(f"the table {url} has no column {', '.join(lost)}; it has {has}")
    found = recognised(names) | {word: one for word, one in named.items() if one is not None}
    missing = [word for word in ("ra", "dec") if word not in found]
    if missing:
        raise UnreadableInput(
            f"no column of the table {url} is known as {' and '.join(missing)}; it has {has}: "
            "name them with --ra and --dec"
        )
    return {word: found[word] for word in ("ra", "dec", "source_id") if word in found}


def _degrees(url: str, table: pa.Table, name: str) -> NDArray[np.float64]:
    unit = (table.schema.field(name).metadata or {}).get(b"unit", b"").decode().strip().lower()
    return floats(url, name, table.column(name)) * _DEGREES.get(unit, 1.0)


def _ids_of(
    table: pa.Table, name: str | None, place: tuple[NDArray[np.float64], NDArray[np.float64]], *, must: bool, url: str
) -> NDArray[np.int64] | None:
    """Return the file's ids where they can be looked up, else None."""
    if name is None:
        return None
    column = table.column(name)
    kind: Literal["no integers", "gaps", ""] = ""
    if not pa.types.is_integer(column.type):
        kind = "no integers"
    elif column.null_count:
        kind = "gaps"
    if kind:
        if must:
            raise BadRequest(f"the column {name} of {url} has {kind}: ids are integers, one for each row")
        return None
    found: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    values, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1]
        if must:
            raise BadRequest(
                f"{len(twice)} ids of the column {name} of {url} come more than once, as {twice[0]} does: "
                "import a table with one row for each object"
            )
        return None
    return found if belong(found, *place) else None


def _plain(field: pa.Field) -> pa.Field:
    """Return a field without the encodings of the file that it comes from."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    kind = pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind
    said = {key: text for key, text in (field.metadata or {}).items() if key in (b"unit", b"description")}
    return pa.field(field.name, kind, metadata=said or None)
