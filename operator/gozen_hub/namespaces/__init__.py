"""The service that makes users' namespaces, so that the hub itself needs no rights to make them."""
