"""The reference catalogue: in memory, read from a user's file, or as a table of the archive."""
