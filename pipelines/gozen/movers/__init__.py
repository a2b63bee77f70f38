"""What is on single frames but not on the stack: movers, streaks, flares; found, linked, measured."""
