"""The version of the running code: number, commit and source digest; needs neither git nor an installation.

``gozen.__version__`` and every provenance record contain this version. Only the standard library is imported here,
because ``setup.py`` and ``python -m gozen.version`` use this package before anything is installed.
"""

from __future__ import annotations

import functools
from pathlib import Path

from gozen.version.find_version import code_at
from gozen.version.version_text import Code, parsed


@functools.cache
def this_code() -> Code:
    """Return the version of the code of this process; cached, because edits after the start are not loaded."""
    return code_at(Path(__file__).resolve().parents[1])


def code_version() -> str:
    """Return the version as text, as provenance records it: for example ``0.2.0+g651f4b3ab12c.s1a2b3c4d5e6f``."""
    return str(this_code())


def is_this_code(version: str) -> bool:
    """Tell whether a version has the same sources as this process; commits may differ if only the docs changed."""
    return version == code_version() or this_code().same_digest(parsed(version).digest)
