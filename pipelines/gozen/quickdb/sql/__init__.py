"""Queries in SQL: parsed, checked against an allow-list, run by DuckDB on the files of the tables."""
