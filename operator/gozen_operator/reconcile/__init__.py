"""The reconcile of each kind: pure functions from a resource, facts and the time to a plan."""
