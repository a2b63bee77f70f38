"""The observer: claims an Observation, executes its steps with the site's drivers, and creates Exposures."""
