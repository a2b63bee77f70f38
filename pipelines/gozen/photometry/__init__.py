"""Detect sources on the stack, measure the shift of every frame, and the flux of every source on every frame."""
