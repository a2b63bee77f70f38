"""Checks of this machine for `gozen doctor`: packages, data, archive, resources."""
