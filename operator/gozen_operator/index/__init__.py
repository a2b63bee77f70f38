"""The operator's cache of the API server, and what is derived from it: entries, dependents, facts. No I/O."""
