"""Parts of the simulated camera: from light on a sensor to raw FITS files."""
