"""From fluxes to calibrated light-curve rows: match, zero magnitude, rows of one sensor, and a night into the table."""
