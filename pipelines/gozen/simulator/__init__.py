"""A simulated camera under a simulated sky: raw files for the demo and the tests, and the truth behind them."""
