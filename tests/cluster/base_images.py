"""Images that others start with: a small system from debootstrap; and images that hold nothing but a program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.suite import cache
from tests.suite.clock import say
from tests.suite.costs import measured

from .images import SECONDS_TO_BUILD, build_image, image_id, store
from .machine import run
from .names import IMAGE as COREDNS_IMAGE
from .node_files import PAUSE_IMAGE
from .tools import installed, tool

BASE_IMAGE = "localhost/gozen/base:1"
# What the public base of our images, the slim image of Python, holds.
BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")


def base_image() -> str:
    """Return the tag of an image of this computer's Debian or Ubuntu with Python, made when it is not there."""
    with cache.locked("base-image"):
        if not image_id(BASE_IMAGE):
            say(f"making a base image with debootstrap (once; it is kept in {store()})")
            with TemporaryDirectory(dir=cache.folder()) as folder, measured("build", "base image"):
                archive = Path(folder) / "base.tar"
                _make_base(archive)
                _build_from_scratch(BASE_IMAGE, archive, 'ADD {name} /\nCMD ["python3"]')
    return BASE_IMAGE


def pause_image() -> str:
    """Return the tag of the image that holds a pod's namespaces, made when it is not there."""
    with cache.locked("pause-image"):
        if not image_id(PAUSE_IMAGE):
            _build_from_scratch(PAUSE_IMAGE, tool("pause"), 'COPY {name} /pause\nENTRYPOINT ["/pause"]')
    return PAUSE_IMAGE


def coredns_image() -> str:
    """Return the tag of the image of the name server, made when it is not there."""
    with cache.locked("coredns-image"):
        if not image_id(COREDNS_IMAGE):
            _build_from_scratch(COREDNS_IMAGE, tool("coredns"), 'COPY {name} /coredns\nENTRYPOINT ["/coredns"]')
    return COREDNS_IMAGE


def image_of_program(tag: str, program: Path) -> str:
    """Return the tag of an image that holds nothing but a program; it is made anew, which takes a second."""
    _build_from_scratch(tag, program, 'COPY {name} /program\nENTRYPOINT ["/program"]')
    return tag


def _build_from_scratch(tag: str, file: Path, lines: str) -> None:
    with TemporaryDirectory() as folder:
        dockerfile = Path(folder) / "Dockerfile"
        dockerfile.write_text(f"FROM scratch\n{lines.format(name=file.name)}\n")
        build_image(dockerfile, tag, context=file.parent)


def _make_base(archive: Path) -> None:
    """Write the tar file of a small system."""
    root = archive.parent / "root"
    debootstrap = installed("debootstrap", "debootstrap")
    packages = f"--include={','.join(BASE_PACKAGES)}"
    run([debootstrap, "--variant=minbase", packages, _release(), root, *_mirror()], seconds=SECONDS_TO_BUILD)
    shutil.rmtree(root / "var" / "cache" / "apt" / "archives")
    run(["tar", "--create", "--file", archive, "--directory", root, "."], seconds=300)


def _release() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.split("=")[1].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))


def _mirror() -> list[str]:
    """Return the mirror that this computer installs from, or nothing: debootstrap knows one."""
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    found = [line.split()[1] for line in said.splitlines() if line.startswith(f"{_release()} ")]
    return found[:1]
