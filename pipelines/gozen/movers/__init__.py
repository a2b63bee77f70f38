"""Detect and measure objects that are on single frames but not on the stack: movers, streaks, flares."""
