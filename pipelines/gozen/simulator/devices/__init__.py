"""The simulated observatory: drivers for telescope, dome, focuser and camera."""
