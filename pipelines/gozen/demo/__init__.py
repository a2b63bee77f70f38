"""The demo: simulate a night, reduce it, and compare the light curves with the injected values."""
