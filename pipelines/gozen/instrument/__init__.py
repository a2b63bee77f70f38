"""The camera: site, sensors, areas, scale, read-out and header keywords, from a YAML profile."""
