"""The code that each Python kernel of a lab runs first; it leaves no name in the user's namespace."""

try:
    from gozen_hub.lab_memory import remind
except ImportError:  # a kernel with an environment of its own
    pass
else:
    remind()
    del remind
