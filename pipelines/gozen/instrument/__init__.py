"""What the camera is: site, sensors, areas, scale, read-out and header words, read from a YAML profile."""
