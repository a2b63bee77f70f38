"""Requests to the Kubernetes API, the meaning of its answers, and the leader-election Lease."""
