"""``python -m gozen`` is the ``gozen`` command."""

from gozen.cli import main

main()
