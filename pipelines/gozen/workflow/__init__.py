"""The steps from raw files to rows in a table, for commands and notebooks. They print nothing."""
