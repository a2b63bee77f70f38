"""Read CSV and similar text in blocks; a column has one type in all blocks, and errors name the line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from gozen.catalog.imports.formats.compression import Batches, Open
from gozen.catalog.imports.formats.dialect import Dialect, cells, sniffed
from gozen.catalog.imports.formats.file_request import FileRequest, NotATableError
from gozen.catalog.imports.formats.text_lines import Lines, decoded, encoding_of, has_padded_integers, text_lines
from gozen.catalog.imports.formats.text_values import MISSING, TextColumn
from gozen.catalog.imports.split_positions import is_sign

_BLOCK = 1 << 20
_EXACT = 2.0**53
"""Above this, float64 cannot represent every integer: a column that Arrow reads as float64 may contain ids."""

_MOST_LOOKS = 8
_NO_ROWS = "it has a line of names but no rows (lines that begin with # are comments)"
_LONG_ROW = "a row is longer than 1 MB: search for a double quote without a closing one"
_WRONG_COLUMN = re.compile(r"In CSV column #(\d+)")


@dataclass(frozen=True)
class TextTable:
    """A text table and its dialect.

    Parameters
    ----------
    begin
        Opens the file.
    dialect, encoding
        Separator, names and so on, and the text encoding.
    old_ends
        Whether lines end with a carriage return only.
    quoted
        Whether values may be in double quotes, and so contain line ends.
    """

    begin: Open
    dialect: Dialect
    encoding: str
    old_ends: bool
    quoted: bool

    @classmethod
    def of(cls, begin: Open, asked: FileRequest) -> TextTable:
        """Detect encoding and dialect from the first block of a file."""
        with begin() as stream:
            head = stream.read(_BLOCK)
        encoding = encoding_of(head, asked.encoding)
        text = decoded(head, encoding)
        dialect = sniffed(text, asked.columns, is_whole=len(head) < _BLOCK)
        return cls(begin, dialect, encoding, "\r" in text and "\n" not in text, '"' in text)

    def batches(
        self,
        types: Mapping[str, pa.DataType],
        names: Sequence[str] | None = None,
        look: Callable[[bytes], None] = lambda _: None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches of rows.

        Parameters
        ----------
        types
            Types of columns; Arrow infers the others from the first block.
        names
            Columns to read; None reads all.
        look
            Called with each block of rows before Arrow reads it.

        Raises
        ------
        NotATableError
            A row has too many or too few values; the message names its line.
        pyarrow.ArrowInvalid
            A value does not have its column's type.
        """
        wrong: list[str] = []

        def ragged(row: Any) -> str:
            if not row.text.strip():
                return "skip"
            wrong.append(row.text)
            return "error"

        separator = "\t" if self.dialect.separator == " " else self.dialect.separator
        read = csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=list(self.dialect.names))
        parse = csv.ParseOptions(delimiter=separator, newlines_in_values=self.quoted, invalid_row_handler=ragged)
        convert = csv.ConvertOptions(
            column_types=dict(types), null_values=MISSING, decimal_point=self.dialect.decimal, include_columns=names
        )
        try:
            with self.begin() as stream, csv.open_csv(self._rows(stream, look), read, parse, convert) as found:
                yield from found
        except UnicodeError:
            self._raise_where_not_encoded()
            raise
        except pa.ArrowInvalid as error:
            if wrong:
                raise self._ragged(wrong[0]) from error
            if "Empty CSV" in str(error):
                raise NotATableError(_NO_ROWS) from error
            if "straddl" in str(error):
                raise NotATableError(_LONG_ROW) from error
            raise

    def _raise_where_not_encoded(self) -> None:
        with self.begin() as stream:
            for _ in self._numbered(stream):
                pass

    def _numbered(self, stream: IO[bytes]) -> Iterator[tuple[int, str]]:
        return text_lines(stream, self.encoding, b"\r" if self.old_ends else b"\n")

    def refuse_open_quotes(self, last: pa.RecordBatch) -> None:
        """Raise `NotATableError` if a double quote is never closed: all later lines would become one value."""
        value = last.column(last.num_columns - 1)[-1].as_py()
        if not isinstance(value, str) or "\n" not in value:
            return
        end = ""
        with self.begin() as stream:
            for _, line in self._numbered(stream):
                end = line.rstrip() or end
        if not end.endswith('"'):
            start = value.split("\n")[0]
            raise NotATableError(
                f'a double quote begins the value {_shown(start)} and is never closed: close it, or write "" for a '
                "quote within quotes"
            )

    def _rows(self, stream: IO[bytes], look: Callable[[bytes], None]) -> Lines:
        by_blanks = self.dialect.separator == " "
        return Lines(stream, self.encoding, self.dialect.first, look, by_blanks=by_blanks, old_ends=self.old_ends)

    def _ragged(self, row: str) -> NotATableError:
        """Return the error for a row that does not have one value for each name; it names the line."""
        separator = self.dialect.separator
        values = cells(row, "\t" if separator == " " else separator)
        first = row.split("\n")[0].rstrip("\r")
        with self.begin() as stream:
            same = (n for n, line in self._numbered(stream) if n > self.dialect.first and self._as_row(line) == first)
            number = next(same, None)
        return NotATableError(
            f"line {'?' if number is None else number} has {_counted(len(values), 'value')}, but there are "
            f"{_counted(len(self.dialect.names), 'name')} of columns: {_shown(row)}; write one value for each name, in "
            'double quotes ("...") if it contains the separator'
        )

    def _as_row(self, line: str) -> str:
        if self.dialect.separator != " ":
            return line
        return "\t".join(f'"{one}"' if " " in one else one for one in cells(line, " "))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def open_delimited(begin: Open, asked: FileRequest) -> tuple[pa.Schema, Batches]:
    """Return the columns of a text table, and a function that reads some of them in batches.

    All rows are read once to find types that fit every value.

    Raises
    ------
    NotATableError
        A line does not have one value for each column, or is not in the file's encoding.
    """
    table = TextTable.of(begin, asked)
    try:
        types, texts = _types(table)
    except NotATableError:
        if table.quoted:
            raise
        table = replace(table, quoted=True)  # the first block had no quotes, but a later one may
        types, texts = _types(table)
    units = dict(zip(table.dialect.names, table.dialect.units, strict=True))
    final = {name: texts[name].type if name in texts else types[name] for name in table.dialect.names}
    unnamed = {table.dialect.names[at] for at in table.dialect.unnamed}
    names = [name for name in final if name not in unnamed or not pa.types.is_null(final[name])]
    schema = pa.schema([pa.field(n, final[n], metadata={"unit": units[n]} if units[n] else None) for n in names])

    def read(some: Sequence[str]) -> Iterator[pa.Table]:
        wanted = pa.schema([schema.field(name) for name in some])
        for batch in table.batches(types, list(some)):
            columns = [texts[one].convert(batch[one]) if one in texts else batch[one] for one in some]
            yield pa.Table.from_arrays(columns, schema=wanted)

    return schema, read


def _types(table: TextTable) -> tuple[dict[str, pa.DataType], dict[str, TextColumn]]:
    """Return the types with which Arrow reads the columns, and the converters of columns that it reads as text."""
    as_text: set[str] = set()
    for look in range(_MOST_LOOKS):
        if look == _MOST_LOOKS - 1:
            as_text = set(table.dialect.names)
        try:
            types, texts, doubtful = _look(table, as_text)
        except pa.ArrowInvalid as error:  # a later value does not fit the type that Arrow inferred from the first block
            doubtful = _wrong(error, table.dialect.names)
            if not doubtful - as_text:
                raise
        if not doubtful:
            return types, texts
        as_text |= doubtful
    raise AssertionError("as texts, all columns can be read")


def _look(table: TextTable, as_text: set[str]) -> tuple[dict[str, pa.DataType], dict[str, TextColumn], set[str]]:
    """Read all rows; return the types, the converters of text columns, and the columns that Arrow may have changed.

    It stops at the first batch with such a column, which then has to be read as text.
    """
    types: dict[str, pa.DataType] = {}
    texts: dict[str, TextColumn] = {}
    padded: list[bool] = []

    def look(block: bytes) -> None:
        if not padded and has_padded_integers(block):
            padded.append(True)

    signs = {name for name in table.dialect.names if is_sign(name)}
    for batch in table.batches({name: pa.string() for name in as_text | signs}, look=look):
        if not types:
            types = {field.name: field.type for field in batch.schema}
            readable = [name for name, kind in types.items() if pa.types.is_string(kind) and name not in signs]
            texts = {name: TextColumn(table.dialect.decimal) for name in readable}
        for name, finder in texts.items():
            finder.add(batch[name])
        doubtful = {n for n, kind in types.items() if pa.types.is_floating(kind) and _may_be_rounded(batch[n])}
        if padded:
            doubtful |= {name for name, kind in types.items() if pa.types.is_integer(kind)}
        if doubtful:
            return types, texts, doubtful
    if not types:
        raise NotATableError(_NO_ROWS)
    table.refuse_open_quotes(batch)
    return types, texts, set()


def _may_be_rounded(column: pa.Array) -> bool:
    """Return whether a float64 column may contain integers that were rounded.

    Either a number is beyond 2^53, or a NaN made Arrow read a column of integers as float64.
    """
    if pc.any(pc.is_nan(column)).as_py():  # Arrow does not read a `nan` with blanks around it as null
        return True
    limits = pc.min_max(column).as_py()
    return limits["max"] is not None and not -_EXACT < limits["min"] <= limits["max"] < _EXACT


def _wrong(error: pa.ArrowInvalid, names: Sequence[str]) -> set[str]:
    """Return the column that an error of Arrow names; all columns if it names none."""
    found = _WRONG_COLUMN.search(str(error))
    return {names[int(found.group(1))]} if found and int(found.group(1)) < len(names) else set(names)
