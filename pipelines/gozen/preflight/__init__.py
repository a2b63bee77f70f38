"""Check this machine for `gozen doctor`: packages, data, archive, processor and memory."""
