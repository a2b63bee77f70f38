"""The service that gives each user's labs and workers read-only credentials for the object store, and renews them."""
