"""The simulated camera: from light on the sensor to raw FITS files."""
