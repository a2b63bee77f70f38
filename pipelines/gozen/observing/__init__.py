"""How an Observation is carried out: what it will expose and where (``plan``)."""
