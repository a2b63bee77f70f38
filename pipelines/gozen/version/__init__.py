"""The version of the running code: number, commit, source digest; without git or an installation.

``gozen.__version__`` and every record of provenance say the same. Only the standard library is imported here, because
``setup.py`` and ``python -m gozen.version`` use this package before anything is installed.
"""

from __future__ import annotations

import functools
from pathlib import Path

from gozen.version.find_version import code_at
from gozen.version.version_text import Code, parsed


@functools.cache
def this_code() -> Code:
    """Return what runs in this process, as it was when it was first asked for: a later edit is not loaded any more."""
    return code_at(Path(__file__).resolve().parents[1])


def code_version() -> str:
    """Return the version as provenance has it, such as ``0.2.0+g651f4b3ab12c.s1a2b3c4d5e6f``."""
    return str(this_code())


def is_this_code(version: str) -> bool:
    """Tell whether another process has the same sources; its commit may differ, as after a change of the docs."""
    return version == code_version() or this_code().same_digest(parsed(version).digest)
