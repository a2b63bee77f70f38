"""Container images for the tests, built with buildah on a base from debootstrap, because none can be pulled.

Images are in a separate store in the cache, so that a second build finds its layers again.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.suite import cache
from tests.suite.clock import say
from tests.suite.costs import measured

from .machine import run
from .names import IMAGE as COREDNS_IMAGE
from .node_files import PAUSE_IMAGE
from .tools import installed, tool

BASE_IMAGE = "localhost/gozen/base:1"
# What the public base of our images, the slim image of Python, holds.
BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
SECONDS_TO_BUILD = 1200
SECONDS_TO_KEEP_LAYERS = 7200
SHORT_ID = 11


def build_image(
    dockerfile: Path,
    tag: str,
    build_args: Mapping[str, str] | None = None,
    context: Path | None = None,
    flags: Sequence[str] = (),
) -> str:
    """Build an image and return its tag.

    Parameters
    ----------
    dockerfile
        What to build.
    tag
        A full name, as ``localhost/gozen/pipeline:test``.
    build_args
        Values of its ``ARG`` lines, as ``{"BASE": base_image()}``.
    context
        The folder that ``COPY`` reads; by default the one of the Dockerfile.
    flags
        More flags for ``buildah bud``.

    Raises
    ------
    StartError
        Where a step fails, with what it said.
    """
    values = [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]
    # A build sees this computer's network, its certificates and no more.
    inside = ["--isolation=chroot", "--network=host", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
    words = ["bud", "--layers", "--force-rm", "--pull-never", *inside, *values, *flags, f"--tag={tag}"]
    with cache.locked("image-builds"):
        _forget_builds_that_were_killed()
        said = run(
            [*_buildah(), *words, f"--file={dockerfile}", context or dockerfile.parent], seconds=SECONDS_TO_BUILD
        )
        _forget_old_layers(tag, layers_of(said))
    return tag


def configuration(tag: str) -> dict[str, Any]:
    """Return what an image says of itself: User, Labels, Entrypoint, Env."""
    found: dict[str, Any] = json.loads(run([*_buildah(), "inspect", "--type=image", tag]))
    return dict(found["OCIv1"]["config"])


def size_mb(tag: str) -> float:
    """Return the size of an image with its base, MB."""
    number, unit = run([*_buildah(), "images", "--noheading", "--format={{.Size}}", tag]).split()
    return float(number) * {"MB": 1, "GB": 1000}[unit]


def export_image(tag: str, archive: Path) -> None:
    """Write an image to a tar file that containerd can import."""
    # The format that is not compressed: compressing would take longer than all the rest, and the file is read once.
    run([*_buildah(), "push", tag, f"docker-archive:{archive}:{tag}"], seconds=SECONDS_TO_BUILD)


def base_image() -> str:
    """Return the tag of an image of this computer's Debian or Ubuntu with Python, made when it is not there."""
    with cache.locked("base-image"):
        if not image_id(BASE_IMAGE):
            say(f"making a base image with debootstrap (once; it is kept in {cache.folder() / 'images'})")
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


def push_image(tag: str, to: str) -> None:
    """Push an image to a registry under another name, with the log-in that Docker or Podman has kept."""
    run([*_buildah(), "push", tag, f"docker://{to}"], seconds=SECONDS_TO_BUILD)


def require_sound_store() -> None:
    """Empty the store of the images if it cannot be read, as after a full disk; one failure alone may have passed."""
    store = cache.folder() / "images"
    command = [*_buildah(), "images", "--all"]
    with cache.locked("image-builds"):
        for _ in range(2):
            said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_BUILD)
            if said.returncode == 0 or not store.exists():
                return
        say(f"the store of images in {store} cannot be read and is made anew: {said.stderr.strip()[-300:]}")
        shutil.rmtree(store)


def image_id(tag: str) -> str:
    """Return what tells an image from others that have had its tag, or nothing where there is none."""
    return run([*_buildah(), "images", "--quiet", "--no-trunc", "--filter", f"reference={tag}"]).strip()


def _forget_builds_that_were_killed() -> None:
    if run([*_buildah(), "containers", "--quiet"]).strip():
        run([*_buildah(), "rm", "--all"], seconds=SECONDS_TO_BUILD)


def layers_of(said: str) -> list[str]:
    """Return the short ids of the layers that a build names: those that it made and those that it found."""
    return sorted({found[:SHORT_ID] for found in re.findall(r"^--> (?:Using cache )?([0-9a-f]+)$", said, re.MULTILINE)})


def _forget_old_layers(tag: str, layers: list[str]) -> None:
    """Remove the layers of two hours ago that the last build of no image has used: a busy day makes 40 GB of them."""
    note = cache.folder() / "image-layers.json"
    used: dict[str, list[str]] = json.loads(note.read_text()) if note.exists() else {}
    used[tag] = layers
    note.write_text(json.dumps(used))
    keep = {layer for layers in used.values() for layer in layers}
    oldest = time.time() - SECONDS_TO_KEEP_LAYERS
    images = json.loads(run([*_buildah(), "images", "--all", "--json"]))
    for image in sorted(images, key=lambda one: -one["created"]):  # what is built on others goes before them
        if not image.get("names") and image["id"][:SHORT_ID] not in keep and image["created"] < oldest:
            # One that others are built on stays, with an error that is no news.
            subprocess.run([*_buildah(), "rmi", image["id"]], capture_output=True, timeout=SECONDS_TO_BUILD)


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


def _buildah() -> list[str]:
    return [
        # What it mounts goes with it, also when it is killed.
        *("unshare", "--mount"),
        installed("buildah", "buildah"),
        f"--root={cache.folder() / 'images'}",
        "--runroot=/run/gozen/images",
        "--storage-driver=overlay",
    ]
