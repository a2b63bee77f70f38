"""The observation log: a night's commits as three Parquet tables, and look-ups in them."""
