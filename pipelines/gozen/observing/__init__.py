"""How an Observation is carried out: ``plan``, ``drivers`` of the devices, and which raw data answer it."""
