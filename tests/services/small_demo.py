"""The smallest demo, which tests of pages, of the command and of the platform read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .made_once import made_once

GOZEN = Path(sys.executable).parent / "gozen"
CAMERA = Path(__file__).parent / "small_camera.yaml"


def started(*words: str | Path, cwd: Path) -> None:
    """Run the installed command as a user does, its start included."""
    environment = {**os.environ, "GOZEN_INSTRUMENT": str(CAMERA), "GOZEN_WORKERS": "2"}
    done = subprocess.run([GOZEN, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def demo_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the demo, made by the first process of a run that asks for it; not to be changed."""

    def make(folder: Path) -> None:
        size = ("--sensors", "1", "--dithers", "1", "--nframe", "12")
        started("demo", "--folder", folder / "small", *size, cwd=folder)

    return made_once(factory, "demo", make) / "small"
