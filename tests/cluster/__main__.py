"""``make cluster``: the node of the tests in the foreground, for a developer's hands."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType

from tests.suite.clock import say

from .node import Node, containerd_client
from .processes import StartError
from .tools import ToolMissingError, tool

WELCOME = """\
The cluster is up. In another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH={programs}:$PATH
  kubectl get nodes
  kubectl get pods --all-namespaces

Logs are in {logs}. Ctrl-C here ends the cluster, and all that is in it.
"""


def main() -> int:
    """Start a node, say how to use it, and stop it when told to; return the exit code."""
    if os.geteuid() != 0:
        say("make cluster needs root, for it makes namespaces and mounts; try: sudo make cluster")
        return 77
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    folder = Path(mkdtemp(prefix="gozen-cluster-"))
    folder.chmod(0o755)
    node: Node | None = None
    try:
        say("starting a Kubernetes node; the first time its programs are built, which takes some minutes")
        node = Node(folder)
        programs = _programs(folder, node)
        sys.stdout.write(WELCOME.format(kubeconfig=_for_user(node), programs=programs, logs=folder / "logs"))
        sys.stdout.flush()
        node.wait()
    except KeyboardInterrupt:
        say("ending the cluster")
    except (StartError, ToolMissingError) as error:
        say(f"{error}\nall logs are in {folder / 'logs'}")
        return 1
    finally:
        if node:
            node.stop()
    shutil.rmtree(folder)
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _programs(folder: Path, node: Node) -> Path:
    """Return a folder with kubectl under its own name, and a ctr that speaks to the node's containerd."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(tool("kubectl"))
    (programs / "ctr").write_text(f'#!/bin/sh\nexec {shlex.join(node.machine.command(containerd_client()))} "$@"\n')
    (programs / "ctr").chmod(0o755)
    return programs


def _for_user(node: Node) -> Path:
    """Return the administrator's kubeconfig, readable by who called sudo."""
    if "SUDO_UID" in os.environ:
        os.chown(node.kubeconfig, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
    return node.kubeconfig


if __name__ == "__main__":
    sys.exit(main())
