"""WCS of a stack: solved with a hint and a reference catalogue, else blind; then refined on the reference stars."""
