"""Import of users' tables: positions, ids and units are recognised, rows are read in batches."""
