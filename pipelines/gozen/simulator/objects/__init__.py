"""The simulated deep survey: object tables in five bands, and their truth."""
