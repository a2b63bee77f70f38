"""Pictures of what was measured; matplotlib is loaded by the modules inside, so import those when you draw."""
