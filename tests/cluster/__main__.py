"""``make cluster`` and ``make platform``: run the tests' Kubernetes node in the foreground, for developers."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
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


def main(words: Sequence[str]) -> int:
    """Start a node, with the platform if `words` say so; say how to use it, and stop it when told to.

    Returns
    -------
    int
        The exit code.
    """
    given = _options().parse_args(words)
    target = given.target
    if os.geteuid() != 0:
        say(f"make {target} needs root, for it makes namespaces and mounts; try: sudo make {target}")
        return 77
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    folder = Path(mkdtemp(prefix="gozen-cluster-"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            if given.context:
                _show(_in_context(given, folder, stack))
                signal.pause()
            else:
                _here(target, folder, stack)
    except KeyboardInterrupt:
        say(f"ending the {target}")
    except (AssertionError, StartError, ToolMissingError) as error:  # the first is what kubectl said
        logs = folder / "logs"
        say(f"{error}\nall logs are in {logs}" if logs.is_dir() else str(error))
        if not logs.is_dir():  # no node: what is there is at most a copy of the user's kubeconfig
            shutil.rmtree(folder)
        return 1
    shutil.rmtree(folder)
    return 0


def _here(target: str, folder: Path, stack: ExitStack) -> None:
    say("starting a Kubernetes node; the first time its programs are built, which takes some minutes")
    node = Node(folder)
    stack.callback(node.stop)
    _show(_of_platform(node, folder, stack) if target == "platform" else _of_cluster(node, folder))
    node.wait()


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.cluster")
    options.add_argument("target", nargs="?", choices=("cluster", "platform"), default="cluster")
    options.add_argument("--context", default="", help="an existing cluster, by its context in the kubeconfig")
    options.add_argument("--load", default="", help="command that loads an archive of images into its nodes")
    options.add_argument("--registry", default="", help="registry from which it pulls images")
    return options


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _of_cluster(node: Node, folder: Path) -> str:
    return WELCOME.format(kubeconfig=_for_user(node.kubeconfig), programs=_programs(folder, node), logs=folder / "logs")


def _of_platform(node: Node, folder: Path, stack: ExitStack) -> str:
    # Imported here: a cluster alone starts without the packages that the platform needs.
    from .developer_platform import archive_of_the_demo, developer_platform

    archive = archive_of_the_demo()
    say("building the images and installing the chart; the first time this takes some ten minutes")
    found = stack.enter_context(developer_platform(node, folder, archive))
    return found.text.format(
        kubeconfig=_for_user(found.kubeconfig), programs=_programs(folder, node), logs=folder / "logs"
    )


def _in_context(given: argparse.Namespace, folder: Path, stack: ExitStack) -> str:
    from .developer_platform import archive_of_the_demo, text_of, values
    from .existing_cluster import Foreign, platform_in

    foreign = Foreign(given.context, given.load, given.registry)
    found = stack.enter_context(platform_in(foreign, folder, archive_of_the_demo, values()))
    kubeconfig = _for_user(found.cluster.kubeconfig)
    return text_of(found, folder).format(kubeconfig=kubeconfig, programs=_programs(folder), logs=folder)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _programs(folder: Path, node: Node | None = None) -> Path:
    """Return a folder with kubectl under its own name, and for a node of ours a ctr that speaks to its containerd."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(tool("kubectl"))
    if node is None:
        return programs
    (programs / "ctr").write_text(f'#!/bin/sh\nexec {shlex.join(node.machine.command(containerd_client()))} "$@"\n')
    (programs / "ctr").chmod(0o755)
    return programs


def _for_user(kubeconfig: Path) -> Path:
    """Return the administrator's kubeconfig, readable by who called sudo."""
    if "SUDO_UID" in os.environ:
        os.chown(kubeconfig, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
    return kubeconfig


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
