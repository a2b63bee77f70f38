"""Writing tables: a night appended to the light curves, or a whole table in one go."""
