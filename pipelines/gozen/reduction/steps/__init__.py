"""Steps of a sensor's reduction: from raw files to an aligned stack, then the pipelines."""
