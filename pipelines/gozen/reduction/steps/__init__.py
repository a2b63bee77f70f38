"""The steps of one sensor's reduction: from raw files to an aligned stack, then the pipelines; each gives a stage."""
