"""The observer: it claims an Observation, executes its steps by the site's drivers and creates the Exposures."""
