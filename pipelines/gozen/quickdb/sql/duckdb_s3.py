"""Give DuckDB access to an archive on S3: load the extension, set credentials and certificates."""

from __future__ import annotations

import duckdb

from gozen.archive.stores.s3_access import S3Access
from gozen.errors import BadRequest, reason_of


def reach(connection: duckdb.DuckDBPyConnection, access: S3Access) -> None:
    """Give a DuckDB connection access to S3.

    Raises
    ------
    BadRequest
        The extension is not installed (DuckDB would download it), or the certificates cannot be read.
    """
    _load(connection)
    if access.tls:
        _verify(connection, access.authorities)
    parts = {
        "key_id": access.keys.key,
        "secret": access.keys.secret,
        "region": access.region,
        "endpoint": access.host,
        "use_ssl": str(access.tls).lower(),
        "url_style": "path" if access.in_path else "vhost",
    }
    parts |= {"session_token": access.keys.token} if access.keys.token else {}
    words = ", ".join(f"{name} {_quoted(value)}" for name, value in parts.items())
    connection.execute("SET allow_persistent_secrets = false")
    connection.execute(f"CREATE OR REPLACE SECRET archive (TYPE s3, {words})")


def _verify(connection: duckdb.DuckDBPyConnection, authorities: str | None) -> None:
    """Let DuckDB accept only servers with a trusted certificate, with either of its HTTP clients.

    Raises
    ------
    BadRequest
        The file of authorities cannot be read; DuckDB would hang.
    """
    # GLOBAL, because queries run in cursors, which do not inherit the settings of a connection.
    for setting in ("enable_server_cert_verification", "enable_curl_server_cert_verification"):
        connection.execute(f"SET GLOBAL {setting} = true")
    if authorities is None:
        return
    try:
        with open(authorities, "rb") as file:  # noqa: PTH123 - the path in the environment variable
            file.read(1)
    except OSError as error:
        raise BadRequest(
            f"cannot read the file of certificates {authorities}, which AWS_CA_BUNDLE names: {reason_of(error)}; "
            "correct AWS_CA_BUNDLE"
        ) from error
    connection.execute(f"SET GLOBAL ca_cert_file = {_quoted(authorities)}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _load(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        import duckdb_extension_httpfs
    except ImportError as error:
        raise BadRequest(
            f"SQL on an archive on S3 needs another package ({error}): pip install 'gozen[sql]'"
        ) from error
    from pathlib import Path

    folder = Path(next(iter(duckdb_extension_httpfs.__path__)))
    path = next(folder.rglob("*.duckdb_extension"), None)
    if path is None:
        raise BadRequest(
            f"the package duckdb-extension-httpfs in {folder} contains no extension: install the version of the "
            "package that belongs to the installed DuckDB"
        )
    connection.execute(f"LOAD '{path}'")
