"""The observation log: three Parquet tables for each night, built from its commits, and searches in them."""
