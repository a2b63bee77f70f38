"""Describe a camera by a YAML profile: site, sensors, areas, pixel scale, read-out and header keywords."""
