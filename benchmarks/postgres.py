"""A throw-away PostgreSQL from Debian's package: on a socket in a temporary folder, gone with its context."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa

ACCOUNT = "postgres"
INSTALL = "PostgreSQL is the peer of this benchmark: install Debian's with `apt-get install postgresql`"
_CHUNK = 250_000
_TYPES = {
    pa.int64(): ("bigint", ">i8"), pa.int32(): ("integer", ">i4"), pa.int16(): ("smallint", ">i2"),
    pa.uint16(): ("integer", ">i4"), pa.float64(): ("double precision", ">f8"), pa.float32(): ("real", ">f4"),
}  # fmt: skip


def programs() -> Path:
    """Return the folder of the newest server that Debian has installed; exit with the command where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise SystemExit(INSTALL)
    return found[-1].parent


@contextlib.contextmanager
def server(buffers_mb: int) -> Iterator[str]:
    """Start a server of its own with this much memory for pages; yield how to connect; stop and remove it after."""
    folder = Path(tempfile.mkdtemp(prefix="gozen-pg-"))
    owner = _owner()
    try:
        if owner:
            shutil.chown(folder, ACCOUNT)
        data = folder / "data"
        made = [programs() / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run([*made], check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)
        options = {
            "listen_addresses": "", "unix_socket_directories": str(folder), "shared_buffers": f"{buffers_mb}MB",
            "fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
            "max_wal_size": "8GB", "maintenance_work_mem": "1GB", "jit": "off",
        }  # fmt: skip
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs() / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd=folder, **owner
            )
        try:
            yield _ready(process, folder)
        finally:
            process.send_signal(2)  # a fast shutdown: clients are not waited for
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, object]:
    """Return as whom the server is to run: it refuses root."""
    if os.getuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise SystemExit(INSTALL) from None
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _ready(process: subprocess.Popen[bytes], folder: Path) -> str:
    address = f"host={folder} user=postgres dbname=postgres"
    waiting = [programs() / "pg_isready", "-q", "-h", folder, "-t", "1"]
    while process.poll() is None:
        if subprocess.run(waiting, check=False).returncode == 0:
            return address
    raise SystemExit(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")


def create(connection: psycopg.Connection, name: str, schema: pa.Schema) -> None:
    """Make an empty table with the columns of an Arrow schema; texts are ``text``, unsigned 16 bits an integer."""
    columns = ", ".join(f'"{field.name}" {_sql(field.type)[0]}' for field in schema)
    connection.execute(f'CREATE UNLOGGED TABLE "{name}" ({columns})')


def copy(connection: psycopg.Connection, name: str, rows: pa.Table) -> None:
    """Append rows, which have no nulls and in each text column one length, by ``COPY`` in the binary form."""
    with connection.cursor().copy(f'COPY "{name}" FROM STDIN (FORMAT binary)') as copy:
        copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
        for start in range(0, len(rows), _CHUNK):
            copy.write(_tuples(rows.slice(start, _CHUNK)))
        copy.write(b"\xff\xff")


def _tuples(rows: pa.Table) -> bytes:
    """Return rows in the form of binary ``COPY``: number of fields, then length and value of each, big-endian."""
    values = {name: _values(rows.column(name)) for name in rows.column_names}
    layout = [("fields", ">i2")]
    for name, column in values.items():
        layout += [(f"length {name}", ">i4"), (name, column.dtype)]
    out = np.empty(len(rows), np.dtype(layout))
    out["fields"] = len(values)
    for name, column in values.items():
        out[f"length {name}"] = column.dtype.itemsize
        out[name] = column
    return out.tobytes()


def _values(column: pa.ChunkedArray) -> np.ndarray:
    kind = _sql(column.type)[1]
    if kind != "S":
        return column.to_numpy().astype(kind)
    coded = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    return np.array(coded.dictionary.to_pylist(), "S")[coded.indices.to_numpy()]


def _sql(kind: pa.DataType) -> tuple[str, str]:
    return _TYPES.get(kind, ("text", "S"))
