"""How DuckDB reaches an archive on S3: its extension as a package, and the credentials that every S3 client takes."""

from __future__ import annotations

import duckdb

from gozen.archive.stores.s3_access import S3Access
from gozen.errors import BadRequest


def reach(connection: duckdb.DuckDBPyConnection, access: S3Access) -> None:
    """Let a DuckDB read from S3.

    Raises
    ------
    BadRequest
        The extension is not installed: DuckDB would fetch it from the network.
    """
    _load(connection)
    parts = {
        "key_id": access.keys.key,
        "secret": access.keys.secret,
        "region": access.region,
        "endpoint": access.host,
        "use_ssl": str(access.tls).lower(),
        "url_style": "path" if access.in_path else "vhost",
    }
    parts |= {"session_token": access.keys.token} if access.keys.token else {}
    words = ", ".join(f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in parts.items())
    connection.execute("SET allow_persistent_secrets = false")
    connection.execute(f"CREATE OR REPLACE SECRET archive (TYPE s3, {words})")


def _load(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        import duckdb_extension_httpfs
    except ImportError as error:
        raise BadRequest(f"SQL on an archive on S3: {error}; pip install 'gozen[sql]'") from error
    from pathlib import Path

    folder = Path(next(iter(duckdb_extension_httpfs.__path__)))
    path = next(folder.rglob("*.duckdb_extension"), None)
    if path is None:
        raise BadRequest("the package duckdb-extension-httpfs has no extension for this DuckDB: install its version")
    connection.execute(f"LOAD '{path}'")
