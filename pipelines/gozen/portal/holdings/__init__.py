"""Read what the first page shows: tables, releases and nights of the archive, and the notebooks."""
