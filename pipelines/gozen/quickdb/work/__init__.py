"""One task of a job, as a worker does it: open files, run the user's function on patches, send what came of it."""
