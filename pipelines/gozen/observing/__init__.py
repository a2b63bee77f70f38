"""Plan an Observation, define the device drivers that execute it, and assign raw data to its steps."""
