"""Gozen's own images, built from this checkout on the tests' base.

Tests that run Gozen on a node use one image for all, that of the observer, which contains the content of the other two.
It has three names, and each is started as its own Dockerfile says. The three published images: `test_images`.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.suite.clock import say
from tests.suite.costs import measured

from gozen.version import code_version

from .base_images import base_image
from .images import build_image, configuration, export_image, require_sound_store
from .node import Node

ROOT = Path(__file__).parents[2]
DOCKERFILES = {"pipeline": "pipeline", "observer": "pipeline", "operator": "operator"}
TAGS = {name: f"localhost/gozen/{name}:test" for name in DOCKERFILES}


@functools.cache
def own_image(name: str) -> str:
    """Build ``pipeline``, ``observer`` or ``operator``, once in a process, and return its tag; layers are kept.

    Raises
    ------
    StartError
        Where a step fails, with what it said.
    """
    say(f"building the image {name} (some minutes the first time; layers that do not change are kept)")
    require_sound_store()
    with measured("build", f"image {name}"):
        dockerfile = _dockerfile(name)
        values = {"BASE": base_image(), "VERSION": code_version()}
        return build_image(dockerfile, TAGS[name], values, context=ROOT, flags=[f"--target={name}"])


def load_own_images(node: Node) -> Mapping[str, str]:
    """Give a node one image under the names of all three; return the tag of each."""
    tag = own_image("observer")
    node.load_image(tag, {name: with_settings(configuration(tag), changes) for name, changes in _starts().items()})
    return TAGS


def export_own_images(archive: Path) -> None:
    """Write a tar file with one image under the names of all three, each of which starts as its own Dockerfile says."""
    export_image(own_image("observer"), archive)
    add_names(archive, _starts())


def _starts() -> dict[str, dict[str, Any]]:
    """Return how the image starts under each of its names."""
    return {tag: started_as(_dockerfile(name).read_text(), name) for name, tag in TAGS.items()}


def started_as(dockerfile: str, target: str) -> dict[str, Any]:
    """Return how a target of a Dockerfile starts: its entry point, arguments and environment."""
    stage = re.search(rf"^FROM \S+ AS {target}\n(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL)
    assert stage is not None, target
    text = stage.group(1).replace("\\\n", " ")
    words = {word: re.search(rf"^{word} (\[.*\])$", text, re.MULTILINE) for word in ("ENTRYPOINT", "CMD")}
    entry, arguments = (json.loads(found.group(1)) if found else None for found in words.values())
    settings = [one for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for one in line.split()]
    return {"Entrypoint": entry, "Cmd": arguments, "Env": settings}


def add_names(archive: Path, names: Mapping[str, Mapping[str, Any]]) -> None:
    """Let an archive of one image hold it under several names, each with changes of its configuration."""
    with tarfile.open(archive) as whole:
        (image,) = json.load(_member(whole, "manifest.json"))
        base = json.load(_member(whole, image["Config"]))
    files, images = {}, []
    for tag, changes in names.items():
        data = json.dumps({**base, "config": with_settings(base["config"], changes)}).encode()
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        files[name] = data
        images.append({**image, "Config": name, "RepoTags": [tag]})
    with tarfile.open(archive, "a") as whole:
        for name, data in {**files, "manifest.json": json.dumps(images).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            whole.addfile(info, io.BytesIO(data))


def with_settings(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with changes; variables of the environment are added to those that it has."""
    known = dict(one.split("=", 1) for one in [*config["Env"], *changes["Env"]])
    return {**config, **changes, "Env": [f"{name}={value}" for name, value in known.items()]}


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None
    return found


def _dockerfile(name: str) -> Path:
    return ROOT / "images" / DOCKERFILES[name] / "Dockerfile"
