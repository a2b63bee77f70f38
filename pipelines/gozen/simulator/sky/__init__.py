"""The simulated sky: stars, and what happens on it."""
