"""The reference catalogue: in memory, from a user's file, as a table of the archive."""
