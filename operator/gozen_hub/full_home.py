"""Let Jupyter and IPython write to a temporary folder if the home of a user is full.

So the lab starts, and the user can delete files. Without space, both would end at their start: Jupyter cannot write
its runtime files, and neither program can make the folders that it needs.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

RUNTIME = "JUPYTER_RUNTIME_DIR"
_JUPYTER = Path(".local/share/jupyter")
_FOLDERS = {"JUPYTER_CONFIG_DIR": Path(".jupyter"), "JUPYTER_DATA_DIR": _JUPYTER, "IPYTHONDIR": Path(".ipython")}
# What each of them must contain, or is written at the first start; a folder ends with a slash.
_PARTS = {
    "JUPYTER_CONFIG_DIR": ("migrated",),
    "JUPYTER_DATA_DIR": (),
    "IPYTHONDIR": tuple(f"profile_default/{name}/" for name in ("log", "pid", "security", "startup")),
}
_SPACE = 2**16
"""Bytes that must fit into a home; otherwise it counts as full."""
_log = logging.getLogger(__name__)


def folders_elsewhere(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables that name a temporary folder, for each folder for which the home has no space.

    Parameters
    ----------
    environment
        Variables that are set already are not changed.
    """
    full = [name for name, folder in _FOLDERS.items() if not _can_be_used(home / folder, _PARTS[name])]
    if full or not _has_space(home):
        full.append(RUNTIME)
    missing = [name for name in full if name not in environment]
    if not missing:
        return {}
    folder = Path(tempfile.mkdtemp(prefix="gozen-lab-"))
    _log.warning("the home %s is full: %s are in %s until the lab ends", home, ", ".join(missing), folder)
    return {name: str(folder / name.lower()) for name in missing}


def _can_be_used(folder: Path, parts: tuple[str, ...]) -> bool:
    """Make a folder with these empty files and folders in it; return whether this was possible."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in parts:
            if part.endswith("/"):
                (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                (folder / part).touch(exist_ok=True)
    except OSError:
        return False
    return True


def _has_space(home: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(bytes(_SPACE))
            file.flush()
    except OSError:
        return False
    return True
