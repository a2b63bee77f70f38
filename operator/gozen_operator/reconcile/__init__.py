"""What to do about each resource: pure functions from the resource, facts and the time to a plan."""
