"""Formats of table files: recognise a file, decompress it, and convert its columns to Arrow types."""
