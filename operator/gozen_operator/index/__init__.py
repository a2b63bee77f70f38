"""What the operator remembers of the API server, and what it derives from it: entries, dependents, facts. No I/O."""
