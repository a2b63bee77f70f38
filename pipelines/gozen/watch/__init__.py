"""``gozen watch``: reduce and append what a camera writes into a folder, and report the backlog."""
