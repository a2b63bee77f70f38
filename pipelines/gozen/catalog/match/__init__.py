"""Cross-match by position, in memory or against a table."""
