"""What a table consists of in the archive: columns, keys, manifests, row-group index, HATS side files, ids."""
