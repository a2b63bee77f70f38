"""Build and read the observation log: three tables for each night, built from its commits.

``tables/exposures`` has a row for each sensor of an exposure, ``tables/quality`` one for each gate and each frame, and
``tables/tracklets`` one for each position of a moving object. `gozen.archive.log.search_log` searches them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive import keys
from gozen.archive.commit import FrameRecord, GateRecord, SensorCommit, Summary, load_commit
from gozen.archive.keys import CommitKey
from gozen.archive.log.tracklet_columns import FIELDS
from gozen.archive.small_parquet import read_parquet
from gozen.archive.stores.open_store import Store
from gozen.archive.tracklet_record import tracklet_rows
from gozen.errors import MissingObject, UnreadableInput

LogTable = Literal["exposures", "quality", "tracklets"]
Name = tuple[str, str, str]
FORM = b"1"
PRODUCTS = ("stack", "cube", "neo", "staging")
_ROW = ("exposure", "run", "sensor")
_ARROW: dict[Any, pa.DataType] = {int | None: pa.int32(), str | None: pa.string()}

_WHICH = (
    ("night", pa.int32(), "YYYYMMDD, the local date on which the night began"),
    ("exposure", pa.string(), "number or name of the exposure"),
    ("run", pa.string(), "name of the processing of the exposure, such as r1"),
    ("sensor", pa.string(), "id of the sensor; of Tomo-e quadrant and chip, such as 121"),
    ("object", pa.string(), "name of the target, as in the header"),
    ("data_type", pa.string(), "OBJECT, DARK, FLAT or BIAS"),
)
_REFUSED = (
    ("reason", pa.string(), "name of the rejection; null if there is none"),
    ("message", pa.string(), "the rejection in a sentence; for a gate, further information"),
    ("value", pa.float64(), "value that the gate measured"),
    ("limit", pa.float64(), "limit of the gate"),
)


def _summary_fields() -> Iterator[tuple[str, pa.DataType, str]]:
    for name, field in Summary.model_fields.items():
        yield name, _ARROW.get(field.annotation, pa.float64()), field.description or ""


def _schema(fields: Iterable[tuple[str, pa.DataType, str]]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"description": text}) for name, kind, text in fields])


EXPOSURES = _schema(
    (
        *_WHICH,
        ("frame_id", pa.string(), "name of the raw data"),
        ("instrument", pa.string(), "name of the instrument profile"),
        ("filter", pa.string(), "name in the header"),
        ("project", pa.string(), "name in the header"),
        ("observer", pa.string(), "names in the header"),
        ("mjd_start", pa.float64(), "d (UTC), start of the first pixel"),
        ("exposure_s", pa.float64(), "s, net exposure of one frame"),
        ("nframe", pa.int32(), "frames read"),
        ("n_rejected_frames", pa.int32(), "frames that a gate refused"),
        ("status", pa.string(), "reduced or rejected"),
        *_REFUSED,
        ("warnings", pa.string(), "inputs that are missing or that do not match exactly; empty if all match"),
        *_summary_fields(),
        *((kind, pa.string(), f"key of the {kind} in the archive; null if there is none") for kind in PRODUCTS),
        ("code_version", pa.string(), "version of Gozen"),
    )
)
QUALITY = _schema(
    (
        *_WHICH,
        ("frame", pa.int32(), "number of the frame, from 0; null for a gate on the whole sensor"),
        ("gate", pa.string(), "name of the gate; null in the row of a frame's measurements"),
        ("passed", pa.bool_(), "false if the frame or the sensor was refused"),
        *_REFUSED,
        ("unit", pa.string(), "unit of `value` and `limit`"),
        ("mjd", pa.float64(), "d (UTC), start of the frame's first row"),
        ("background_adu", pa.float64(), "ADU, sky level of the frame"),
        ("noise_adu", pa.float64(), "ADU, noise of the sky"),
        ("seeing_px", pa.float64(), "pixel, full width at half maximum of the stars"),
        ("shift_x_px", pa.float64(), "pixel, position on the frame minus position on the stack, along x"),
        ("shift_y_px", pa.float64(), "pixel, the same along y"),
        (
            "shift_residual_px",
            pa.float64(),
            "pixel, root mean square difference between the shifts of stars and that of the frame",
        ),
        (
            "rotation_deg",
            pa.float64(),
            "deg, rotation relative to the stack, from x towards y; null if none was measured",
        ),
        ("scale", pa.float64(), "length on the frame divided by length on the stack; null without a rotation"),
        ("n_stars", pa.int32(), "number of stars from which the shift was computed"),
        ("elongation", pa.float64(), "length of the stars divided by their width"),
        ("zero_point", pa.float64(), "mag, zero point of this frame"),
    )
)
TRACKLETS = _schema((*_WHICH, ("frame_id", pa.string(), "name of the raw data"), *FIELDS))
SCHEMAS: dict[LogTable, pa.Schema] = {"exposures": EXPOSURES, "quality": QUALITY, "tracklets": TRACKLETS}


def rebuild_night(store: Store, night: str) -> int:
    """Write the tables of a night from its commits; return the number of commits in them.

    The tables contain one run of each exposure, selected by `gozen.archive.keys.runs_in_force`. Commits never change,
    so
    rows that are in the tables already are reused. The same commits give the same bytes. Several rebuilds may run at
    the same time: the last one to write has read all commits.

    Raises
    ------
    UnreadableInput
        A commit cannot be read.
    StorageUnavailable
        The archive cannot be read or written.
    """
    while True:
        listed = store.list(keys.commits(night))
        chosen = in_force(listed)
        held = {table: _held(store, table, night) for table in SCHEMAS}
        known = _known(held) & {_name(one) for one in chosen}
        read = (load_commit(store, keys.commit(*one)) for one in chosen if _name(one) not in known)
        commits = [commit for commit in read if commit is not None]
        fresh: dict[LogTable, list[dict[str, Any]]] = {
            "quality": [row for commit in commits for row in quality_rows(commit)],
            "tracklets": [row for commit in commits for row in _moving(commit)],
            "exposures": [exposure_row(commit) for commit in commits],
        }
        for table, rows in fresh.items():
            merged = _merged(held[table], known, pa.Table.from_pylist(rows, SCHEMAS[table]), chosen)
            store.write(keys.log_table(table, night), _bytes(merged))
        # If a commit came meanwhile, repeat: another rebuild may have written its rows, and this one overwrote them.
        if store.list(keys.commits(night)) == listed:
            return len(chosen)


def in_force(listed: Sequence[str]) -> list[CommitKey]:
    """Return the commits of a night whose rows belong in the tables, from the keys of all its commits."""
    found = [one for one in map(keys.parse_commit, listed) if one is not None]
    runs = keys.runs_in_force(found)
    return sorted(one for one in found if one.processing.run == runs[one.processing.exposure])


def exposure_row(commit: SensorCommit) -> dict[str, Any]:
    """Return the row of a commit in ``tables/exposures``."""
    own = {name: getattr(commit, name) for name in EXPOSURES.names if name in SensorCommit.model_fields}
    return {
        **own,
        **commit.summary.model_dump(),
        **_refusal(commit.rejection),
        "warnings": "; ".join(commit.warnings),
        **{kind: commit.products[kind].key for kind in PRODUCTS if kind in commit.products},
        "night": int(commit.night),
        "n_rejected_frames": sum(frame.rejected is not None for frame in commit.frames),
        "code_version": commit.provenance.code_version,
    }


def quality_rows(commit: SensorCommit) -> list[dict[str, Any]]:
    """Return the rows of a commit in ``tables/quality``: its gates, then its frames."""
    which = _which(commit)
    gates = [which | _gate_row(gate) for gate in commit.gates]
    return gates + [which | _frame_row(frame) for frame in commit.frames]


def read_log_table(store: Store, table: LogTable, night: str) -> pa.Table:
    """Return a table of one night; an empty one if it does not exist. Columns that an old file lacks are null.

    Raises
    ------
    UnreadableInput
        The object is not a Parquet table.
    """
    schema, key = SCHEMAS[table], keys.log_table(table, night)
    try:
        read = read_parquet(store.read(key))
    except MissingObject:
        return schema.empty_table()
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a Parquet table ({error}); rebuild it with `gozen archive rebuild {night}`"
        ) from error
    columns = [
        read.column(field.name).cast(field.type) if field.name in read.column_names else pa.nulls(len(read), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema.with_metadata(read.schema.metadata))


def _which(commit: SensorCommit) -> dict[str, Any]:
    return {name: getattr(commit, name) for name, _, _ in _WHICH} | {"night": int(commit.night)}


def _moving(commit: SensorCommit) -> list[dict[str, Any]]:
    return tracklet_rows(_which(commit) | {"frame_id": commit.frame_id}, commit.tracklets)


def _gate_row(gate: GateRecord) -> dict[str, Any]:
    row = gate.model_dump()
    return row | {"gate": row.pop("name"), "reason": None if gate.passed else gate.name}


def _frame_row(frame: FrameRecord) -> dict[str, Any]:
    return frame.model_dump(exclude={"rejected"}) | _refusal(frame.rejected) | {"passed": frame.rejected is None}


def _refusal(rejection: Any) -> dict[str, Any]:
    if rejection is None:
        return {}
    return {name: getattr(rejection, name) for name in ("message", "value", "limit")} | {"reason": rejection.name}


def _held(store: Store, table: LogTable, night: str) -> pa.Table:
    try:
        return read_log_table(store, table, night)
    except UnreadableInput:
        # A damaged table is rebuilt from the commits, which have all its data.
        return SCHEMAS[table].empty_table()


def _known(held: Mapping[LogTable, pa.Table]) -> set[Name]:
    # If the tables are not of the same commits, a writer was killed between them: then all commits are read again.
    marks = [table.schema.metadata or {} for table in held.values()]
    if any(mark.get(b"gozen.form") != FORM or mark != marks[0] for mark in marks):
        return set()
    return set(_names(held["exposures"]))


def _merged(held: pa.Table, known: set[Name], fresh: pa.Table, chosen: Sequence[CommitKey]) -> pa.Table:
    kept = held.filter(pa.array([name in known for name in _names(held)], pa.bool_()))
    merged = pa.concat_tables([kept.replace_schema_metadata(None), fresh])
    wanted = [_name(one) for one in chosen]
    rank = {name: place for place, name in enumerate(wanted)}
    order = sorted(range(len(merged)), key=[rank[name] for name in _names(merged)].__getitem__)
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()
    ordered = merged.take(pa.array(order, pa.int64())).combine_chunks()
    return ordered.replace_schema_metadata({b"gozen.form": FORM, b"gozen.commits": digest})


def _name(one: CommitKey) -> Name:
    return one.processing.exposure, one.processing.run, one.sensor


def _names(table: pa.Table) -> list[Name]:
    return list(zip(*(table.column(name).to_pylist() for name in _ROW), strict=True))


def _bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return sink.getvalue()
