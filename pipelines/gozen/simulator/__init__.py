"""A simulated camera and sky: raw files for the demo and the tests, and the truth about them."""
