"""Calibration: raw pixels to calibrated ones, and the dark, bias and flat masters."""
