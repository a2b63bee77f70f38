"""Requests to the Kubernetes API and what its objects and answers say."""
