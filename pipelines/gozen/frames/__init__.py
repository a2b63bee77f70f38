"""FITS input and output, and which raw files make an exposure."""
