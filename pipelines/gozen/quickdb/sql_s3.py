"""How DuckDB reaches an archive on S3: its extension as a package, and the credentials that every S3 client takes."""

from __future__ import annotations

import duckdb

from gozen.errors import BadRequest
from gozen.settings import StorageSettings


def reach(connection: duckdb.DuckDBPyConnection, storage: StorageSettings) -> None:
    """Let a DuckDB read from S3.

    Raises
    ------
    BadRequest
        The extension is not installed: DuckDB would fetch it from the network.
    """
    from botocore.session import Session

    _load(connection)
    found = Session().get_credentials()
    parts = {"region": storage.region or "us-east-1"}
    if found is not None:
        frozen = found.get_frozen_credentials()
        parts |= {"key_id": frozen.access_key, "secret": frozen.secret_key}
        parts |= {"session_token": frozen.token} if frozen.token else {}
    if storage.endpoint_url:
        scheme, _, host = storage.endpoint_url.rstrip("/").partition("://")
        parts |= {"endpoint": host, "use_ssl": str(scheme == "https").lower()}
        parts["url_style"] = "vhost" if storage.addressing == "virtual" else "path"
    words = ", ".join(f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in parts.items())
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
