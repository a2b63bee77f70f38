"""Patches, the pieces of tables that a user's function gets: their extents, their columns, and how these are read."""
