"""The storage format of a table: columns, keys, manifests, row-group index, HATS side files, source ids."""
