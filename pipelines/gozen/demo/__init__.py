"""The demo: a simulated night from raw frames to looked-up light curves, compared with what was put in."""
