"""Calibrated light-curve rows: match with the reference, zero point, rows of a sensor, append of a night."""
