"""A simulated camera and sky: raw files for the demo and the tests, with tables of the true values."""
