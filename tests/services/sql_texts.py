"""SQL texts as an attacker or a beginner may write them, or as bad copies: most can be parsed, many name files."""

from __future__ import annotations

import random
from collections.abc import Sequence

COLUMNS = (
    "ra",
    "dec",
    "Gmag",
    "gmag",
    "source_id",
    "m.ra",
    "*",
    "ra + 1",
    "count(*)",
    "1",
    "'x'",
    "NULL",
    "raw",
    '"i.mag"',
)
TABLES = (
    "mine",
    "mine",
    "mine",
    "Mine",
    "exposures",
    "quality",
    "lightcurves",
    "nowhere",
    "near",
    "information_schema.tables",
    "t.u",
)
SCALARS = (
    "abs({a})", "sum({a})", "read_text({f})", "getenv('HOME')", "current_setting('home_directory')", "list({a})",
    "within(ra, dec, 10, 0, 60)", "within({a}, {a}, 1, 2, 3)", "lower({f})", "version()", "nextval('s')", "hash({a})",
    "getvariable('x')", "list_transform([1, 2], x -> x + 1)", "coalesce({a}, {a})", "write_log({f})", "format({f}, 1)",
    "range(1000000000)", "repeat('x', 1000000000)", "json_extract({f}, '$.a')", "json_serialize_sql('SELECT 1')",
    "current_query()", "pg_sleep(9)", "sleep_ms(9000)", "(SELECT {a} FROM {t} LIMIT 1)", "parse_path({f})",
    "EXISTS (SELECT 1 FROM {t})", "row_number() OVER (ORDER BY {a})", "CASE WHEN {a} IS NULL THEN 1 ELSE 2 END",
)  # fmt: skip
FROM_FUNCTIONS = (
    "read_csv({f})", "read_csv_auto({f}, header = true)", "read_parquet({f})", "read_parquet([{f}, {f}])",
    "parquet_scan({f})", "read_json({f})", "read_json_auto({f})", "read_ndjson({f})", "read_text({f})",
    "read_blob({f})",
    "glob({f})", "sniff_csv({f})", "parquet_metadata({f})", "parquet_schema({f})", "read_duckdb({f})", "range(3)",
    "generate_series(1, 3)", "unnest([1, 2])", "query('SELECT * FROM ' || {f})", "query_table({f})",
    "duckdb_settings()", "duckdb_secrets()", "duckdb_tables()", "pragma_table_info({f})", "arrow_scan(1, 2, 3)",
    "pandas_scan(1)", "python_map_function(1)", "json_execute_serialized_sql('x')", "which_secret({f}, 's3')",
    "main.read_csv({f})", "system.main.read_text({f})", "repeat(1, 3)", "json_each('[1]')", "duckdb_logs()",
)  # fmt: skip
STATEMENTS = (
    "COPY mine TO {f}", "COPY (SELECT 1) TO {f} (FORMAT csv)", "COPY mine FROM {f}", "ATTACH {f} AS other",
    "ATTACH {f}",
    "SET memory_limit = '99GB'", "SET enable_external_access = true", "RESET lock_configuration", "INSTALL httpfs",
    "LOAD {f}", "PRAGMA database_list",
    "CREATE TABLE x AS SELECT * FROM {f}", "CREATE VIEW v AS SELECT 1",
    "EXPORT DATABASE {f}",
    "IMPORT DATABASE {f}", "EXPLAIN SELECT * FROM {f}", "DESCRIBE {t}", "SUMMARIZE {f}", "CALL read_csv({f})",
    "DROP TABLE mine", "DELETE FROM mine", "INSERT INTO mine SELECT 1", "SELECT 1; SELECT * FROM {f}", "VACUUM",
    "CREATE SECRET (TYPE s3)", "CHECKPOINT", "BEGIN", "USE memory", "SHOW TABLES", "PREPARE p AS SELECT 1", "DETACH x",
    "CREATE MACRO m() AS TABLE SELECT * FROM read_text({f})", "UPDATE mine SET ra = 1", "FROM {f}", "TABLE {f}",
)  # fmt: skip
TAILS = (
    "", " WHERE {s} IS NOT NULL", " ORDER BY {a}", " LIMIT 3", " GROUP BY ALL", " UNION ALL SELECT {a} FROM {t}",
    " WHERE within(ra, dec, 10, 0, 60)", " QUALIFY {s} > 1", " WHERE {a} IN (SELECT {a} FROM {r})",
    " HAVING count(*) > 1",
    " TABLESAMPLE 10%", " USING SAMPLE 3 ROWS", " OFFSET 1", " EXCEPT SELECT 1", " WINDOW w AS (ORDER BY {a})",
)  # fmt: skip


class Texts:
    """Makes texts.

    Parameters
    ----------
    number
        Which; the same one gives the same text.
    files
        That must not be opened.
    """

    def __init__(self, number: int, files: Sequence[str]) -> None:
        self._random = random.Random(number)
        self._files = files

    def one(self) -> str:
        """Return a text."""
        kind = self._random.random()
        if kind < 0.2:
            return self._filled(self._random.choice(STATEMENTS))
        if kind < 0.4:  # one thing alone, so that nothing else is refused before it
            return f"SELECT {self._random.choice(('*', 'count(*)'))} FROM {self._rows(1)}"
        text = self._select(2)
        if kind < 0.5:
            text = f"WITH near AS ({self._select(1)}) {text}"
        if kind > 0.93:
            return self._damaged(text)
        return text

    def _select(self, depth: int) -> str:
        columns = ", ".join(self._column(depth) for _ in range(self._random.randint(1, 3)))
        joined = self._random.choice(
            ("", "", "", f" JOIN {self._rows(depth)} USING (ra)", f", {self._rows(depth)} AS o")
        )
        tail = self._filled(self._random.choice(TAILS))
        return f"SELECT {columns} FROM {self._rows(depth)}{joined}{tail}"

    def _column(self, depth: int) -> str:
        return self._filled(self._random.choice(SCALARS if depth and self._random.random() < 0.3 else COLUMNS))

    def _rows(self, depth: int) -> str:
        kind = self._random.random()
        if kind < 0.6:
            return self._random.choice(TABLES)
        if kind < 0.75:
            return self._filled(self._random.choice(FROM_FUNCTIONS))
        if kind < 0.85:
            return self._quoted(self._random.choice("'\""))
        return f"({self._select(depth - 1)}) AS s" if depth else "mine"

    def _quoted(self, mark: str) -> str:
        return f"{mark}{self._random.choice(self._files)}{mark}"

    def _filled(self, text: str) -> str:
        for word, made in (
            ("{f}", lambda: self._quoted("'")),
            ("{t}", lambda: self._random.choice(TABLES)),
            ("{a}", lambda: self._random.choice(COLUMNS[:5])),
            ("{s}", lambda: self._filled(self._random.choice(SCALARS))),
            ("{r}", lambda: self._filled(self._random.choice(FROM_FUNCTIONS))),
        ):
            while word in text:
                text = text.replace(word, made(), 1)
        return text

    def _damaged(self, text: str) -> str:
        at = self._random.randrange(len(text))
        put = self._random.choice(("", "(", ")", "'", '"', ";", "--", "/*", "\0", "é", "$$", "{", "\\", "[", " FROM "))
        return text[:at] + put + text[at + self._random.randint(0, 3) :]
