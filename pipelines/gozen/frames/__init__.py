"""FITS in and out: raw cubes, header words, the time of each row, and the products."""
