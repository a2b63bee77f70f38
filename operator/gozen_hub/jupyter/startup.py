"""What each Python kernel of a lab runs first; it leaves no name to the user."""

try:
    from gozen_hub.lab_memory import remind
except ImportError:  # a kernel with an environment of its own
    pass
else:
    remind()
    del remind
