"""Sources on the stack, the shift of every frame, and the flux of every source on every frame."""
