"""Raw files in the archive: the record of each exposure, and how raw files are retained, expired and forgotten."""
