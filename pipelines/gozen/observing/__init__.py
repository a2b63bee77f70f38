"""How an Observation is carried out: what it will expose (``plan``), which raw data answer it (``execution``)."""
