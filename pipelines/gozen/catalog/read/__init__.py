"""Reading tables: a star, a cone, row groups out of files."""
