"""Storage: objects under keys in a directory, on S3 or on any fsspec URL; `open_store` opens all. No key layout."""
