"""Prepare rows for the light-curve table: set columns and types, refuse incomplete rows, list exposures. No I/O."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from gozen.catalog.format.schema import Flag, lightcurve_columns, schema_of
from gozen.errors import BadRequest

_TEXT = pa.dictionary(pa.int32(), pa.string())
_IDENTITY = ("source_id", "ra", "dec")
_GIVEN_BY_APPEND = ("_healpix_29", *_IDENTITY)


@dataclass(frozen=True, order=True)
class HeldRun:
    """The run of an exposure that a table contains, and its sensors."""

    run: str
    sensors: tuple[int, ...] = field(default=())


Contents = Mapping[str, HeldRun]
"""Run and sensors of each exposure that a table contains of one night."""


def conformed(table: pa.Table, night: int) -> pa.Table:
    """Return rows with the light-curve table's columns, in order; texts are dictionary-encoded.

    Parameters
    ----------
    table
        Any of the columns in docs/reference/tables.md; missing columns become null. ``_healpix_29`` may be absent.
        ``source_id``, ``ra`` and ``dec`` are null for a source that is not in the reference catalogue; it then
        needs ``ra_meas`` and ``dec_meas``.
    night
        ``YYYYMMDD``; every row must be of this night.

    Raises
    ------
    BadRequest
        A column is unknown or has another type, a required value is missing, or a row is of another night.
    """
    columns = lightcurve_columns(further_diameters(table.column_names))
    schema = schema_of(columns)
    unknown = sorted(set(table.column_names) - set(schema.names))
    if unknown:
        raise BadRequest(
            f"the light-curve table has no column {', '.join(unknown)}; its columns are {', '.join(schema.names)}"
        )
    try:
        rows = with_columns_of(table, schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadRequest(f"rows of night {night} do not fit the light-curve table: {error}") from error
    _check(rows, [c.name for c in columns if c.required and c.name not in _GIVEN_BY_APPEND], night)
    return rows


def further_diameters(names: Sequence[str]) -> list[int]:
    """Return the aperture diameters ``d``, in pixels, for which there is a column ``flux_{d}``."""
    return [int(name[5:]) for name in names if name.startswith("flux_") and name[5:].isdigit()]


def with_columns_of(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with exactly these columns, in order; absent ones are null, and texts are dictionary-encoded."""
    present = set(rows.column_names)
    arrays = [
        rows.column(f.name).cast(_working(f.type)) if f.name in present else pa.nulls(len(rows), _working(f.type))
        for f in schema
    ]
    return pa.table(arrays, names=schema.names)


def split_by_identity(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that have all of ``source_id``, ``ra`` and ``dec``, and the other rows."""
    if not any(rows.column(name).null_count for name in _IDENTITY):
        return rows, rows.slice(0, 0)
    known = _complete(rows, _IDENTITY)
    return rows.filter(known), rows.filter(pc.invert(known))


def identified(rows: pa.Table, identity: Mapping[str, pa.Array]) -> pa.Table:
    """Return rows with the columns of ``identity`` (``source_id``, ``ra``, ``dec``) set and the flag UNMATCHED."""
    for name, values in identity.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    marked = pc.bit_wise_or(rows.column("flags"), pa.scalar(int(Flag.UNMATCHED), pa.uint16()))
    return rows.set_column(rows.column_names.index("flags"), "flags", marked)


def contents_of(rows: pa.Table) -> dict[str, HeldRun]:
    """Return run and sensors of each exposure in the rows.

    Raises
    ------
    BadRequest
        An exposure occurs in two runs.
    """
    groups = rows.select(["exposure", "run", "sensor"]).group_by(["exposure", "run", "sensor"]).aggregate([])
    parts = zip(*(groups.column(name).to_pylist() for name in ("exposure", "run", "sensor")), strict=True)
    found: dict[str, HeldRun] = {}
    for exposure, run, sensor in sorted(parts):
        found = merge_contents(found, {exposure: HeldRun(run, (sensor,))})
    return found


def merge_contents(one: Contents, other: Contents) -> dict[str, HeldRun]:
    """Return the union of two contents; raise `BadRequest` if they contain two runs of one exposure."""
    both = dict(one)
    for exposure, held in other.items():
        before = both.get(exposure, HeldRun(held.run))
        if before.run != held.run:
            raise BadRequest(
                f"exposure {exposure} is in two runs, {before.run} and {held.run}, but a table contains only one run "
                "of an exposure; append only one of them (`gozen night append --run`)"
            )
        both[exposure] = HeldRun(held.run, tuple(sorted({*before.sensors, *held.sensors})))
    return both


@dataclass(frozen=True)
class NightChange:
    """The changes that an append makes to a night.

    Parameters
    ----------
    new
        Sensors to add, by exposure.
    replaced
        Exposures whose rows, of another run, are removed.
    after
        The contents of the night after the append.
    whole
        Whether all incoming rows are added.
    """

    new: Contents
    replaced: frozenset[str]
    after: Contents
    whole: bool


def decide_night_change(held: Contents, incoming: Contents) -> NightChange:
    """Decide which incoming sensors are new and which exposures are replaced: an incoming run replaces an older one."""
    replaced = frozenset(e for e, one in incoming.items() if e in held and held[e].run != one.run)
    kept = {exposure: one for exposure, one in held.items() if exposure not in replaced}
    new = {exposure: _rest(one, kept.get(exposure)) for exposure, one in incoming.items()}
    new = {exposure: one for exposure, one in new.items() if one.sensors}
    return NightChange(new, replaced, merge_contents(kept, new), whole=new == incoming)


def have_rows_in_common(one: Contents, other: Contents) -> bool:
    """Tell whether two contents share a sensor of an exposure, or have different runs of an exposure."""
    both = [(held, other[exposure]) for exposure, held in one.items() if exposure in other]
    return any(held.run != beside.run or set(held.sensors) & set(beside.sensors) for held, beside in both)


def _complete(rows: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    return functools.reduce(pc.and_, [pc.is_valid(rows.column(name)) for name in names])


def _rest(incoming: HeldRun, kept: HeldRun | None) -> HeldRun:
    return HeldRun(incoming.run, tuple(s for s in incoming.sensors if kept is None or s not in kept.sensors))


def selected(rows: pa.Table, new: Contents) -> pa.Table:
    """Return the rows of these exposures and sensors."""
    wanted = pa.table(
        {
            "exposure": pa.array([e for e, one in new.items() for _ in one.sensors], pa.string()),
            "sensor": pa.array([s for one in new.values() for s in one.sensors], pa.int16()),
        }
    )
    mask = pa.compute.is_in(_key(rows), value_set=_key(wanted).combine_chunks())
    return rows.filter(mask)


def without(rows: pa.Table, night: int, exposures: frozenset[str]) -> pa.Table:
    """Return the rows without the rows of some exposures of a night."""
    named = pc.is_in(rows.column("exposure"), value_set=pa.array(sorted(exposures)))
    return rows.filter(pc.invert(pc.and_(named, pc.equal(rows.column("night"), night))))


def _key(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(
        rows.column("exposure").cast(pa.string()), rows.column("sensor").cast(pa.string()), "/"
    )


def _working(kind: pa.DataType) -> pa.DataType:
    """Return the type in memory: texts become dictionaries, because sorting then moves four bytes, not the text."""
    return _TEXT if pa.types.is_string(kind) else kind


def _check(rows: pa.Table, required: list[str], night: int) -> None:
    for name in required:
        if rows.column(name).null_count:
            raise BadRequest(
                f"{rows.column(name).null_count} rows of night {night} have no {name}: every row needs one"
            )
    nights = rows.column("night")
    if len(rows) and pc.min_max(nights).as_py() != {"min": night, "max": night}:
        raise BadRequest(
            f"rows of night {pc.unique(nights).to_pylist()} were given, but the night to append is {night}; append "
            "each night separately"
        )
    _, unknown = split_by_identity(rows)
    if pc.any(pc.invert(_complete(unknown, ("ra_meas", "dec_meas")))).as_py():
        raise BadRequest(
            f"rows of night {night} have neither source_id, ra, dec nor ra_meas, dec_meas: every row needs one of "
            "these groups"
        )
