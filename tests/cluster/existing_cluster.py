"""``make platform CONTEXT=NAME``: the platform in a cluster that somebody has, and nothing of it left there afterwards.

Only a cluster that is named is taken, and only one without Gozen. The images reach it by a command that loads an
archive into its nodes, or by a registry. The S3 server runs in the cluster: pods may not reach this computer.
"""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from tests.free_ports import free_ports
from tests.services.s3_server import S3Server
from tests.suite.clock import say

from .access import Administered
from .base_images import image_of_program
from .images import export_image, push_image
from .own_images import TAGS, export_own_images, own_image
from .platform_images import NAMES, platform_image
from .platform_release import PLACE, PlatformRelease, fill, released, way_in
from .platform_values import Site
from .processes import StartError
from .store_pod import store_manifests
from .tools import tool

STORE_IMAGE = "localhost/gozen/versitygw:test"
STORE_PLACE, STORE_PORT = f"{PLACE}-store", 7070
USERS_PREFIX = "gozen-user-"
OURS = (".gozen.astro", ".kubernetes.dask.org")
"""How names of our resources, and of Dask's, end."""
SECONDS_TO_LOAD = 1200


@dataclass(frozen=True)
class Foreign:
    """A cluster that somebody has, and the way of images to it.

    Parameters
    ----------
    context
        Its name in the kubeconfig.
    load
        A command that loads the images of an archive into its nodes; the path of the archive is added.
    registry
        Where images are pushed to instead, as ``registry.example.org/sky``.
    """

    context: str
    load: str = ""
    registry: str = ""

    def way_of_images(self) -> str:
        """Return the command that loads an archive; empty if images are pushed.

        Raises
        ------
        StartError
            Neither is given, and the context is not one of kind.
        """
        if self.registry and self.load:
            raise StartError("give LOAD or REGISTRY, not both")
        if self.registry or self.load:
            return self.load
        if self.context.startswith("kind-"):
            return f"kind load image-archive --name {shlex.quote(self.context.removeprefix('kind-'))}"
        raise StartError(
            f"how do images get into the cluster {self.context}? Give LOAD, a command that loads an archive into its "
            "nodes (its path is added), as LOAD='minikube image load', or REGISTRY, to which images are pushed"
        )


@contextmanager
def platform_in(
    foreign: Foreign, folder: Path, archive: Callable[[], Path], more: Mapping[str, Any]
) -> Iterator[PlatformRelease]:
    """Install the platform in a cluster with a copy of an archive; in the end, remove all that it made there.

    Parameters
    ----------
    archive
        Returns the archive, and may take minutes to make it.
    more
        Further values of the chart.

    Raises
    ------
    StartError
        The cluster does not answer, has Gozen already, or gets no images.
    """
    foreign.way_of_images()
    cluster = _administered(foreign.context, folder)
    require_free(cluster, foreign.context)
    images = _images_in(foreign, folder)
    with ExitStack() as stack:
        stack.callback(_clean, cluster)
        endpoint = stack.enter_context(_store(cluster, images.pop("store"), folder, archive()))
        site = Site(images, endpoint, _api_server(cluster), None)
        yield stack.enter_context(released(cluster, folder, site, password=secrets.token_hex(8), more=more))


def _administered(context: str, folder: Path) -> Administered:
    """Return the cluster of a context; the rest of the user's kubeconfig is not used."""
    words = ["config", "view", "--minify", "--flatten", f"--context={context}"]
    done = subprocess.run([tool("kubectl"), *words], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise StartError(
            f"there is no context {context}: {done.stderr.strip()}; `kubectl config get-contexts` lists them"
        )
    content = yaml.safe_load(done.stdout)
    content["contexts"][0]["context"]["namespace"] = PLACE
    kubeconfig = folder / "platform.kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(yaml.safe_dump(content))
    return Administered(kubeconfig)


def require_free(cluster: Administered, context: str) -> None:
    """Require that a cluster answers and has nothing of Gozen: what is there must not be changed or removed.

    Raises
    ------
    StartError
        With what was found.
    """
    found = []
    for kind in ("namespaces", "crd"):
        done = cluster.kubectl("get", kind, "--output=jsonpath={.items[*].metadata.name}")
        if done.returncode != 0:
            raise StartError(f"the cluster {context} does not answer: {done.stderr.strip()}")
        found += [name for name in done.stdout.split() if _is_ours(name)]
    if found:
        raise StartError(
            f"the cluster {context} has {', '.join(found)} already, which this command would change and remove in the "
            "end; delete them if nobody needs them, or take another cluster"
        )


def _is_ours(name: str) -> bool:
    return name in (PLACE, STORE_PLACE) or name.startswith(USERS_PREFIX) or name.endswith(OURS)


def _clean(cluster: Administered) -> None:
    """Remove what the release and its users leave: namespaces, and resources that Helm keeps."""
    say("removing the platform from the cluster")
    for kind in ("namespaces", "crd"):
        names = cluster.kubectl("get", kind, "--output=jsonpath={.items[*].metadata.name}").stdout.split()
        if ours := [name for name in names if _is_ours(name)]:
            cluster.kubectl("delete", kind, *ours, "--timeout=240s", seconds=300)


def _images_in(foreign: Foreign, folder: Path) -> dict[str, str]:
    """Bring all images into the cluster; return their tags by the name that the chart has for each, and the store's."""
    store = image_of_program(STORE_IMAGE, tool("versitygw"))
    platform = platform_image()
    if foreign.registry:
        tags = {"store": store, "hub": platform, **{name: own_image(name) for name in TAGS}}
        pushed = {name: f"{foreign.registry}/gozen-{name}:test" for name in tags}
        for name, tag in tags.items():
            say(f"pushing {pushed[name]}")
            push_image(tag, pushed[name])
        return {**pushed, **dict.fromkeys(NAMES, pushed["hub"])}
    writers: tuple[Callable[[Path], None], ...] = (
        lambda path: export_image(store, path),
        lambda path: export_image(platform, path),
        export_own_images,
    )
    for write in writers:
        with TemporaryDirectory(dir=folder) as name:
            write(Path(name) / "image.tar")
            _load(foreign.way_of_images(), Path(name) / "image.tar")
    return {"store": store, **TAGS, **dict.fromkeys(NAMES, platform)}


def _load(command: str, archive: Path) -> None:
    words = [*shlex.split(command), str(archive)]
    say(f"loading images: {shlex.join(words)}")
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_TO_LOAD)
    except OSError as error:
        raise StartError(f"the command that loads images does not start: {error}") from error
    if done.returncode != 0:
        raise StartError(f"{shlex.join(words)} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")


@contextmanager
def _store(cluster: Administered, image: str, folder: Path, archive: Path) -> Iterator[str]:
    """Run an S3 server in the cluster with a copy of an archive; yield its address for pods."""
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(store_manifests(image, STORE_PLACE, STORE_PORT)), check=True)
    ready = ("--namespace", STORE_PLACE, "wait", "--for=condition=Ready", "pod/store", "--timeout=120s")
    done = cluster.kubectl(*ready, seconds=150)
    if done.returncode != 0:
        said = cluster.kubectl("--namespace", STORE_PLACE, "describe", "pod/store").stdout
        raise StartError(f"the S3 server does not start in the cluster: {done.stderr}{said[-2000:]}")
    (port,) = free_ports(1)
    with way_in(cluster, "service/store", f"{port}:{STORE_PORT}", folder, STORE_PLACE):
        fill(S3Server(f"http://127.0.0.1:{port}", folder, folder, None), archive)
    yield f"http://store.{STORE_PLACE}.svc:{STORE_PORT}"


def _api_server(cluster: Administered) -> tuple[list[str], int]:
    """Return the addresses and the port of the API server behind its Service, as pods see them."""
    words = ("--namespace", "default", "get", "endpointslices", "--selector=kubernetes.io/service-name=kubernetes")
    slices = json.loads(cluster.kubectl(*words, "--output=json", check=True).stdout)["items"]
    addresses = [one for part in slices for endpoint in part["endpoints"] for one in endpoint["addresses"]]
    return [f"{one}/{128 if ':' in one else 32}" for one in addresses], int(slices[0]["ports"][0]["port"])
