"""The simulated sky: stars and events."""
