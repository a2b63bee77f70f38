"""The report of the demo: one self-contained HTML page."""
