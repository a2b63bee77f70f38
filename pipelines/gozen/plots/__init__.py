"""Plots of measurements. The modules import matplotlib, which is slow: import them only where you draw."""
