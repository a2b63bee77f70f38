"""The service that makes, scales and removes the Dask workers of each user, and the guard of Dask's controller."""
