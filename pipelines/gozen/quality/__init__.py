"""Quality gates, which data must pass before they are used; each rejection has a name, a value and a limit."""
