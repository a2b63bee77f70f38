"""Import of tables that people bring: positions, identifiers and units recognised, rows in batches."""
