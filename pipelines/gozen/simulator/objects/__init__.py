"""A simulated deep survey: object tables in five bands, with truth."""
