"""Drivers of the simulated observatory: telescope, dome, focuser and camera."""
