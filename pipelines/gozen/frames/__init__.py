"""Read and write FITS files, and group raw files into exposures."""
