"""Container images for the tests, built with buildah from images that are built here, because none can be pulled.

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
from typing import Any

from tests.suite import cache
from tests.suite.clock import say

from .image_sources import digest_of
from .machine import run, used_by_machines
from .tools import installed

SECONDS_TO_BUILD = 1200
SECONDS_TO_KEEP_LAYERS = 7200
SHORT_ID = 11
OURS = "localhost/"
"""How tags of images begin that are built here; a build may start with one."""
BUILT_FROM, LAYERS = "image-sources.json", "image-layers.json"
"""Notes in the cache: the sources and the id of each image; the layers that its last build used."""


def build_image(
    dockerfile: Path,
    tag: str,
    build_args: Mapping[str, str] | None = None,
    context: Path | None = None,
    flags: Sequence[str] = (),
) -> str:
    """Build an image and return its tag; leave the build out if its sources are those of the image that is there.

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
    values, context = dict(build_args or {}), context or dockerfile.parent
    with cache.locked("image-builds"):
        _forget_builds_that_were_killed()
        below = [image_id(value) for value in values.values() if value.startswith(OURS)]
        sources = digest_of(dockerfile, context, values, [*flags, *below])
        layers = None
        if _noted(BUILT_FROM).get(tag) != [sources, image_id(tag)]:
            layers = layers_of(_build(dockerfile, tag, values, context, flags))
            _note(BUILT_FROM, tag, [sources, image_id(tag)])
        _forget_old_layers(tag, layers)
    return tag


def _build(dockerfile: Path, tag: str, values: Mapping[str, str], context: Path, flags: Sequence[str]) -> str:
    # A build sees this computer's network, its certificates and no more.
    inside = ["--isolation=chroot", "--network=host", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
    given = [f"--build-arg={name}={value}" for name, value in values.items()]
    words = ["bud", "--layers", "--force-rm", "--pull-never", *inside, *given, *flags, f"--tag={tag}"]
    return run([*_buildah(), *words, f"--file={dockerfile}", context], seconds=SECONDS_TO_BUILD)


def configuration(tag: str) -> dict[str, Any]:
    """Return what an image says of itself: User, Labels, Entrypoint, Env."""
    return dict(description(tag)["config"])


def description(tag: str) -> dict[str, Any]:
    """Return all that an image says of itself: its platform, its layers, its history, and how it starts."""
    found: dict[str, Any] = json.loads(run([*_buildah(), "inspect", "--type=image", tag]))
    return dict(found["OCIv1"])


def size_mb(tag: str) -> float:
    """Return the size of an image with its base, MB."""
    number, unit = run([*_buildah(), "images", "--noheading", "--format={{.Size}}", tag]).split()
    return float(number) * {"MB": 1, "GB": 1000}[unit]


def export_image(tag: str, archive: Path) -> None:
    """Write an image to a tar file that containerd can import."""
    # The format that is not compressed: compressing would take longer than all the rest, and the file is read once.
    run([*_buildah(), "push", tag, f"docker-archive:{archive}:{tag}"], seconds=SECONDS_TO_BUILD)


def push_image(tag: str, to: str) -> None:
    """Push an image to a registry under another name, with the log-in that Docker or Podman has kept."""
    run([*_buildah(), "push", tag, f"docker://{to}"], seconds=SECONDS_TO_BUILD)


def require_sound_store() -> None:
    """Empty the store of the images if it cannot be read, as after a full disk; one failure alone may have passed."""
    command = [*_buildah(), "images", "--all"]
    with cache.locked("image-builds"):
        for _ in range(2):
            said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_BUILD)
            if said.returncode == 0 or not store().exists():
                return
        say(f"the store of images in {store()} cannot be read and is made anew: {said.stderr.strip()[-300:]}")
        shutil.rmtree(store())


def image_id(tag: str) -> str:
    """Return what tells an image from others that have had its tag, or nothing where there is none."""
    said = run([*_buildah(), "images", "--quiet", "--no-trunc", "--filter", f"reference={tag}"])
    return said.strip().removeprefix("sha256:")


def store() -> Path:
    """Return the root of the store of the images."""
    return cache.folder() / "images"


def _forget_builds_that_were_killed() -> None:
    if run([*_buildah(), "containers", "--quiet"]).strip():
        run([*_buildah(), "rm", "--all"], seconds=SECONDS_TO_BUILD)


def layers_of(said: str) -> list[str]:
    """Return the short ids of the layers that a build names: those that it made and those that it found."""
    return sorted({found[:SHORT_ID] for found in re.findall(r"^--> (?:Using cache )?([0-9a-f]+)$", said, re.MULTILINE)})


def _noted(name: str) -> dict[str, list[str]]:
    """Return what a note of the cache says of each tag."""
    note = cache.folder() / name
    return dict(json.loads(note.read_text())) if note.exists() else {}


def _note(name: str, tag: str, words: list[str]) -> dict[str, list[str]]:
    """Note words for a tag; return the whole note."""
    noted = {**_noted(name), tag: words}
    (cache.folder() / name).write_text(json.dumps(noted))
    return noted


def _forget_old_layers(tag: str, layers: list[str] | None) -> None:
    """Remove the layers of two hours ago that neither a last build nor a node uses: a busy day makes 40 GB of them."""
    used = _noted(LAYERS) if layers is None else _note(LAYERS, tag, layers)
    keep = {layer for layers in used.values() for layer in layers} | {image[:SHORT_ID] for image in used_by_machines()}
    oldest = time.time() - SECONDS_TO_KEEP_LAYERS
    images = json.loads(run([*_buildah(), "images", "--all", "--json"]))
    for image in sorted(images, key=lambda one: -one["created"]):  # what is built on others goes before them
        if not image.get("names") and image["id"][:SHORT_ID] not in keep and image["created"] < oldest:
            # One that others are built on stays, with an error that is no news.
            subprocess.run([*_buildah(), "rmi", image["id"]], capture_output=True, timeout=SECONDS_TO_BUILD)


def _buildah() -> list[str]:
    return [
        # What it mounts goes with it, also when it is killed.
        *("unshare", "--mount"),
        installed("buildah", "buildah"),
        f"--root={store()}",
        "--runroot=/run/gozen/images",
        "--storage-driver=overlay",
    ]
