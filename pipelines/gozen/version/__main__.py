"""``python -m gozen.version [number | tag | chart]``: print the version of a checkout for builds, installed or not."""

from __future__ import annotations

import sys
from collections.abc import Callable

from gozen.version import this_code
from gozen.version.version_text import Code

_FORMS: dict[str, Callable[[Code], str]] = {
    "": str,
    "number": lambda code: code.number,
    "tag": lambda code: code.tag,
    "chart": lambda code: code.chart,
}


def main(words: list[str]) -> int:
    """Print one form of the version; return the exit code."""
    form = " ".join(words)
    if form not in _FORMS:
        sys.stderr.write(f"gozen.version: {form!r} is not a form: give number, tag, chart, or nothing for the whole\n")
        return 64
    sys.stdout.write(f"{_FORMS[form](this_code())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
