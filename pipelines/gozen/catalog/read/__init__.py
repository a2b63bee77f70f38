"""Read tables: a star, a cone, row groups of files."""
