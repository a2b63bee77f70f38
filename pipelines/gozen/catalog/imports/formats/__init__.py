"""Files of tables as people write them: what a file is, how it is packed, and its columns as Arrow types. No sky."""
