"""The report of a demo: one self-contained HTML page."""
