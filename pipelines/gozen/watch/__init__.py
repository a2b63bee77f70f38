"""``gozen watch``: reduce the files that a camera writes into a folder, append the results, report the backlog."""
