"""Requests to the Kubernetes API, what its objects and answers say, and the Lease of the leader election."""
