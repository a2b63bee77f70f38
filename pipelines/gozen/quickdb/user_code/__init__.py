"""Inspect a user's function without running it: its digest, its values, and whether its results may be cached."""
