"""A machine inside this one: separate namespaces for processes, mounts and network.

When its first process ends, the kernel ends all other processes and removes their mounts; files were only in memory.
The kernel leaves control groups, which `Machine.stop` removes, or the next start if a run was killed.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .processes import Process, StartError, children, wait_until

REGISTER = Path("/run/gozen")
SLOTS = 64
# In the memory of the machine: it goes with it, and it is small without the layers of images.
STATE = Path("/run/node")
# Where programs of a node write, whatever they are told: each node gets folders of its own there.
PRIVATE = ("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/log/pods", "/var/log/containers")
UNSHARE = (
    *("unshare", "--net", "--mount", "--propagation", "slave"),
    *("--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
)
# Ended children of processes that are gone are of no interest to the first process.
FIRST_PROCESS = ("sh", "-c", "trap '' CHLD; exec sleep infinity")


@dataclass(frozen=True)
class Slot:
    """What tells the machines of one computer from each other.

    Parameters
    ----------
    number
        0 to `SLOTS` - 1.
    """

    number: int

    @property
    def name(self) -> str:
        """Name of the link to the host and of the control groups."""
        return f"gozen{self.number}"

    @property
    def host_address(self) -> str:
        """Address of the host as the machine sees it."""
        return f"10.219.{self.number}.1"

    @property
    def address(self) -> str:
        """Address of the machine."""
        return f"10.219.{self.number}.2"

    @property
    def lock(self) -> Path:
        """The file that is locked while the slot is used; it names the images that the machine uses."""
        return REGISTER / self.name


def host_commands(slot: Slot, first_process: int) -> list[list[str]]:
    """Return the commands that join a machine to the host by a pair of links."""
    return [
        ["ip", "link", "add", slot.name, "type", "veth", "peer", "name", "eth0", "netns", str(first_process)],
        ["ip", "address", "add", f"{slot.host_address}/30", "dev", slot.name],
        ["ip", "link", "set", slot.name, "up"],
    ]


def inner_commands(slot: Slot) -> list[list[str]]:
    """Return the commands that make a machine of the new namespaces, to be run inside."""
    return [
        ["mount", "--make-rshared", "/"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
        ["mkdir", "--parents", *(f"{STATE}{folder}" for folder in PRIVATE)],
        *(["mount", "--bind", f"{STATE}{folder}", folder] for folder in PRIVATE),
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{slot.address}/30", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        ["ip", "route", "add", "default", "via", slot.host_address],
        ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
    ]


class Machine:
    """A machine that is up; programs enter it by `command`.

    Parameters
    ----------
    folder
        Keeps the logs.
    """

    def __init__(self, folder: Path) -> None:
        self.slot, self._lock = take_slot()
        self._holder: Process | None = None
        try:
            for private in PRIVATE:
                Path(private).mkdir(parents=True, exist_ok=True)
            self._holder = Process("the first process", FIRST_PROCESS, folder / "logs" / "machine.log", within=UNSHARE)
            wait_until(self._is_up, "the first process", 10, [self._holder])
            for controller in controllers():
                (controller / self.slot.name).mkdir(exist_ok=True)
            for command in host_commands(self.slot, self._first()):
                run(command)
            for command in inner_commands(self.slot):
                run(self.command(command))
        except BaseException:
            self.stop()
            raise

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command that runs another one inside."""
        return [*self.within, *map(str, argv)]

    @property
    def within(self) -> tuple[str, ...]:
        """What to put before a command to run it inside."""
        return ("nsenter", "--target", str(self._first()), "--net", "--mount", "--pid", "--")

    def stop(self) -> None:
        """End every process inside and remove what is left."""
        if self._holder:
            self._holder.kill()
        remove_traces(self.slot)
        self._lock.truncate(0)
        self._lock.close()

    def uses(self, image: str) -> None:
        """Note that an image of the builds must stay as long as this machine: its containers read the files there."""
        self._lock.write(f"{image}\n")
        self._lock.flush()

    def _first(self) -> int:
        assert self._holder is not None
        return children(self._holder.pid)[0]

    def _is_up(self) -> bool:
        assert self._holder is not None
        found = children(self._holder.pid)
        return bool(found) and Path(f"/proc/{found[0]}/comm").read_text() == "sleep\n"


def take_slot() -> tuple[Slot, IO[str]]:
    """Return the first free slot and its locked file; what killed runs left in any slot is removed on the way.

    Raises
    ------
    StartError
        Where none is free.
    """
    REGISTER.mkdir(parents=True, exist_ok=True)
    free: list[tuple[Slot, IO[str]]] = []
    for slot in map(Slot, range(SLOTS)):
        if free and not slot.lock.exists():
            continue
        handle: IO[str] = slot.lock.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
        else:
            remove_traces(slot)
            handle.truncate(0)
            free.append((slot, handle))
    if not free:
        raise StartError(f"{SLOTS} nodes run on this computer already: their locks are in {REGISTER}")
    for _, handle in free[1:]:
        handle.close()
    return free[0]


def used_by_machines() -> set[str]:
    """Return the images that machines use; those of a machine that was killed stay until another one takes its slot."""
    return {image for slot in map(Slot, range(SLOTS)) if slot.lock.exists() for image in slot.lock.read_text().split()}


def remove_traces(slot: Slot) -> None:
    """Remove the link and the control groups of a machine whose processes have ended."""
    subprocess.run(["ip", "link", "delete", slot.name], capture_output=True, timeout=30)
    for controller in controllers():
        remove_group(controller / slot.name)


def remove_group(group: Path, seconds: float = 5) -> None:
    """Remove a control group with those in it; the kernel takes a moment to let go of the last process."""
    deadline = time.monotonic() + seconds
    while group.exists():
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        if time.monotonic() > deadline:
            return
        if group.exists():
            time.sleep(0.05)


def controllers() -> list[Path]:
    """Return where the control groups are mounted: one folder for each of version 1, or the one of version 2."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(words[1]) for words in lines if words[2] in ("cgroup", "cgroup2")]


def run(argv: Sequence[str | Path], stdin: str | None = None, seconds: float = 60) -> str:
    """Run a command to its end and return what it prints.

    Raises
    ------
    StartError
        Where it fails, with what it said.
    """
    done = subprocess.run(
        [str(word) for word in argv],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",  # containerd cuts a long line of a log inside of a character
        timeout=seconds,
    )
    if done.returncode != 0:
        raise StartError(
            f"{' '.join(map(str, argv))}: code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout
