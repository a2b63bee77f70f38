"""The worker's part of a job: open files, run the user's functions on patches, send results."""
