"""The steps from raw files to rows in a table, for commands and notebooks. Nothing here prints."""
