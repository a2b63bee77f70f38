"""SQL queries: parsed, checked against an allow-list, and run by DuckDB on the files of the tables."""
