"""Import of users' tables: recognise positions, ids and units, and read rows in batches."""
