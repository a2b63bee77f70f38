"""Calibration of raw pixels, and the dark, bias and flat masters."""
