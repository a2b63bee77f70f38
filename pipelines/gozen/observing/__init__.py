"""How an Observation is carried out: its plan, the device drivers, and which raw data belong to its steps."""
