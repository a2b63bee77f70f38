"""The worker's side of a job: open files, run the user's function on patches, send results."""
