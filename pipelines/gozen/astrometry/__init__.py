"""The WCS of a stack: by a hint and a reference catalogue, else blind, then refined on the reference stars."""
