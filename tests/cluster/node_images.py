"""Images on a node, which reads their layers in the store of the builds, so that no file is copied or unpacked.

A layer in that store is a folder as the kernel's overlay needs it, and containerd keeps layers in the same form. The
node therefore gets a link to each folder, and an archive that describes the image and contains no layer.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .machine import Machine, run
from .processes import StartError

OCI = "application/vnd.oci.image"
UNFINISHED = "gozen-layer"
"""Name of a layer of a node until it has its content."""


@dataclass(frozen=True)
class Layer:
    """A layer in the store of the builds.

    Parameters
    ----------
    digest
        Of its tar file that is not compressed, as ``sha256:...``.
    size
        Of the same file, bytes.
    files
        The folder with what it adds to the layers below.
    """

    digest: str
    size: int
    files: Path


def layers_in(store: Path, image: str) -> list[Layer]:
    """Return the layers of an image, the lowest first.

    Parameters
    ----------
    store
        The root of the store of buildah.
    image
        The id of the image.
    """
    known = {layer["id"]: layer for layer in json.loads((store / "overlay-layers" / "layers.json").read_text())}
    images = json.loads((store / "overlay-images" / "images.json").read_text())
    name = next(str(one["layer"]) for one in images if one["id"] == image)
    found: list[Layer] = []
    while name:
        layer = known[name]
        found.insert(0, Layer(layer["diff-digest"], layer["diff-size"], store / "overlay" / name / "diff"))
        name = layer.get("parent", "")
    return found


def chain_ids(digests: Sequence[str]) -> list[str]:
    """Return the names that containerd has for layers, each of which stands for all layers below too."""
    chain: list[str] = []
    for digest in digests:
        both = f"{chain[-1]} {digest}" if chain else ""
        chain.append(f"sha256:{hashlib.sha256(both.encode()).hexdigest()}" if both else digest)
    return chain


def archive_without_layers(layers: Sequence[Layer], names: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return an OCI archive of images that differ only in their configurations, which are given by their names."""
    files: dict[str, bytes] = {"oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode()}

    def described(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        files[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"{OCI}.{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(content)}

    below = [{"mediaType": f"{OCI}.layer.v1.tar", "digest": one.digest, "size": one.size} for one in layers]
    manifests = []
    for name, configuration in names.items():
        config = described("config", json.dumps(configuration).encode())
        manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": below}
        target = described("manifest", json.dumps(manifest).encode())
        manifests.append({**target, "annotations": {"io.containerd.image.name": name}})
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as whole:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            whole.addfile(info, io.BytesIO(content))
    return archive.getvalue()


def link_layers(machine: Machine, client: Sequence[str], layers: Sequence[Layer]) -> None:
    """Give the containerd of a machine the layers that it does not have.

    Parameters
    ----------
    client
        The command that speaks to this containerd.

    Raises
    ------
    StartError
        The machine does not see the folder of a layer, or containerd refuses one.
    """
    snapshots = [*client, "snapshots"]
    there = run(machine.command([*snapshots, "list"])).split()
    chain = chain_ids([layer.digest for layer in layers])
    for layer, below, name in zip(layers, ["", *chain], chain, strict=False):
        if name in there:
            continue
        parent = [below] if below else []
        said = run(machine.command([*snapshots, "prepare", "--target=/mnt", UNFINISHED, *parent]))
        folder = _writable(said)
        link = 'rmdir "$1" && ln -s "$2" "$1" && test -d "$1/."'
        run(machine.command(["sh", "-c", link, "link", folder, layer.files]))
        run(machine.command([*snapshots, "commit", name, UNFINISHED]))


def _writable(mount: str) -> str:
    """Return the folder of a snapshot that takes its files, from the command with which containerd would mount it."""
    found = re.search(r"(?:upperdir=|mount -t bind )([^ ,]+)", mount)
    if found is None:
        raise StartError(f"containerd names no folder for a layer: {mount}")
    return found.group(1)
