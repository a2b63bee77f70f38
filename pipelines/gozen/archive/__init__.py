"""Where bytes live: the key layout on any fsspec URL, atomic commits, provenance and the observation log."""
