"""Read Arrow files (Feather, IPC file and stream), and units from the metadata of Arrow and Parquet files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from gozen.catalog.imports.formats.compression import Batches, Open

_UNIT_KEYS = ("unit", "units", "tunit", "fits:tunit", "ivoa:unit")
_MEANING_KEYS = ("description", "doc", "comment")


def is_arrow(head: bytes) -> bool:
    """Return whether a file is an Arrow file, by its first bytes."""
    return head.startswith((b"ARROW1", b"\xff\xff\xff\xff"))


def open_arrow(head: bytes, begin: Open) -> tuple[pa.Schema, Batches]:
    """Return the columns of an Arrow file, and a function that reads some of them in batches."""
    is_file = head.startswith(b"ARROW1")

    def batches() -> Iterator[pa.RecordBatch]:
        with begin() as stream:
            source = pa.PythonFile(stream, mode="r")
            if is_file:
                file = pa.ipc.open_file(source)
                yield from (file.get_batch(number) for number in range(file.num_record_batches))
            else:
                yield from pa.ipc.open_stream(source)

    def read(names: Sequence[str]) -> Iterator[pa.Table]:
        return (pa.Table.from_batches([one]).select(names) for one in batches())

    with begin() as stream:
        source = pa.PythonFile(stream, mode="r")
        schema = pa.ipc.open_file(source).schema if is_file else pa.ipc.open_stream(source).schema
    return with_units(schema), read


def with_units(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose fields have the metadata ``unit`` and ``description``, if the file states them.

    Units and descriptions are read from the metadata of the fields, a VOTable inside a Parquet file (VOParquet), or the
    metadata that astropy or pandas writes.
    """
    whole = _of_votable(schema) | _of_astropy(schema) | _of_pandas(schema)
    fields = []
    for field in schema:
        own = {key.decode().lower(): text.decode("utf-8", "replace") for key, text in (field.metadata or {}).items()}
        unit, meaning = whole.get(field.name, ("", ""))
        said = {"unit": _first(own, _UNIT_KEYS) or unit, "description": _first(own, _MEANING_KEYS) or meaning}
        others = {key: text for key, text in (field.metadata or {}).items() if key not in (b"unit", b"description")}
        fields.append(field.with_metadata(others | {key: text for key, text in said.items() if text}))
    return pa.schema(fields, metadata=schema.metadata)


def _first(said: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((said[key] for key in keys if said.get(key)), "")


def _text(schema: pa.Schema, key: bytes) -> str:
    found: bytes = (schema.metadata or {}).get(key, b"")
    return found.decode("utf-8", "replace")


def _of_votable(schema: pa.Schema) -> dict[str, tuple[str, str]]:
    text = _text(schema, b"IVOA.VOTable-Parquet.content")
    if not text:
        return {}
    from astropy.io import votable

    fields = next(votable.parse(io.BytesIO(text.encode()), verify="ignore").iter_tables()).fields
    return {str(one.name): (str(one.unit or ""), str(one.description or "")) for one in fields}


def _of_astropy(schema: pa.Schema) -> dict[str, tuple[str, str]]:
    text = _text(schema, b"table_meta_yaml")
    if not text:
        return {}
    from astropy.table.meta import get_header_from_yaml

    columns = get_header_from_yaml(text.split("\n"))["datatype"]
    return {one["name"]: (str(one.get("unit", "")), str(one.get("description", ""))) for one in columns}


def _of_pandas(schema: pa.Schema) -> dict[str, tuple[str, str]]:
    """Return the units of ``df.attrs["units"]`` (or ``"unit"``), if that maps columns to units."""
    text = _text(schema, b"PANDAS_ATTRS")
    said = json.loads(text) if text else {}
    units = said.get("units", said.get("unit")) if isinstance(said, dict) else None
    return {str(name): (str(unit), "") for name, unit in units.items()} if isinstance(units, dict) else {}
