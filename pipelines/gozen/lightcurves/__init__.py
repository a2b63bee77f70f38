"""Calibrated light curves: match with reference stars, zero point, rows of a sensor, append of a night."""
