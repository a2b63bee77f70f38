"""The simulated observatory: drivers of telescope, dome, focuser and camera."""
