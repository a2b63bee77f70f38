"""Storage of objects under keys: in a directory, on S3 or under any fsspec URL; `open_store` opens them."""
