"""Gozen's own images, built from this checkout on the tests' base."""

from __future__ import annotations

import functools
from pathlib import Path

from .images import base_image, build_image
from .tools import say

ROOT = Path(__file__).parents[2]
DOCKERFILES = {"pipeline": "pipeline", "observer": "pipeline", "operator": "operator"}


@functools.cache
def own_image(name: str) -> str:
    """Build ``pipeline``, ``observer`` or ``operator``, once in a process, and return its tag; layers are kept.

    Raises
    ------
    StartError
        Where a step fails, with what it said.
    """
    say(f"building the image {name} (some minutes the first time; layers that do not change are kept)")
    dockerfile = ROOT / "images" / DOCKERFILES[name] / "Dockerfile"
    tag = f"localhost/gozen/{name}:test"
    return build_image(dockerfile, tag, {"BASE": base_image()}, context=ROOT, flags=[f"--target={name}"])
