"""Writing tables: append a night to the light curves, or write a complete table in one step."""
