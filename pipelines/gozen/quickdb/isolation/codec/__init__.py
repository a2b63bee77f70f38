"""Values as bytes between a worker and an isolated child: plain data, every length checked, nothing that runs."""
