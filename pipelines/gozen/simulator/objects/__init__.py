"""A simulated deep survey: object tables in five bands, with a table of the true pairs."""
