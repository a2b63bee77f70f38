"""Calls of the ``gozen`` command through `fork_server`, which the first test process of a run starts.

`ForkServer.run` is like `subprocess.run` of the installed command, but saves its start-up time. Tests of start-up, of
signals and of imports use the installed command.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from tests.suite.processor_time import add_elsewhere

from .fork_server import MOST_BYTES

PATIENCE_S = 120.0
"""Nothing that a life does takes so long, on any machine."""
CALL_S = 300.0


@dataclass
class Life:
    """One call of one or more commands, each after the other's success.

    Parameters
    ----------
    pid
        Of the main process, and of the group.
    log
        What it says, on both channels.
    """

    pid: int
    log: Path
    line: socket.socket = field(repr=False)
    code: int | None = None

    def end(self) -> int:
        """Wait for the main process and return its exit code, negative for a signal.

        One that does not end in time is ended by SIGABRT, and all its processes say where they were.
        """
        if self.code is None:
            if not self.ends_within(PATIENCE_S):
                os.killpg(self.pid, signal.SIGABRT)
            said = heard(self.line)
            self.code = int(said["code"])
            add_elsewhere(said["processor_s"])
            self.line.close()
        return self.code

    def ends_within(self, seconds: float) -> bool:
        """Wait for so long, or for the main process to end, and tell whether it has."""
        return self.code is not None or bool(select.select([self.line], [], [], seconds)[0])

    def said(self) -> str:
        """Return what it said so far."""
        return self.log.read_text(errors="replace")


SHIM = """\
#!{python} -IS
import array, json, os, signal, socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect({path!r})
words = {{"commands": [sys.argv[1:]], "folder": os.getcwd(), "environment": dict(os.environ)}}
line.sendmsg([json.dumps(words).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
pid = json.loads(line.recv(4096))["pid"]
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
said = json.loads(line.recv(4096))
with open({used!r}, "a") as used:
    used.write(f"{{said['processor_s']}}\\n")
sys.exit(said["code"] % 256)
"""
"""A program ``gozen`` that asks the server: for shells, which start one."""


class ForkServer:
    """The way to the server.

    Parameters
    ----------
    path
        Of its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lives: list[Life] = []

    def run(
        self, words: Sequence[str], cwd: Path, environment: Mapping[str, str], seconds: float = CALL_S
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; return its exit code and what it said."""
        with open(os.devnull) as nothing, TemporaryFile("w+") as out, TemporaryFile("w+") as err:  # noqa: PTH123
            life = self._begin([words], cwd, environment, (nothing.fileno(), out.fileno(), err.fileno()), Path())
            if not life.ends_within(seconds):
                os.killpg(life.pid, signal.SIGABRT)  # all its processes say where they are
                err.seek(0)
                raise subprocess.TimeoutExpired(list(words), seconds, stderr=err.read())
            code = life.end()
            said = []
            for channel in (out, err):
                channel.seek(0)
                said.append(channel.read())
        return subprocess.CompletedProcess(["gozen", *words], code, *said)

    def live(self, folder: Path, log: Path, *commands: Sequence[str], **environment: str) -> Life:
        """Start a life in a folder; what it says is appended to a file."""
        with log.open("a") as said, open(os.devnull) as nothing:  # noqa: PTH123
            channels = (nothing.fileno(), said.fileno(), said.fileno())
            self._lives.append(self._begin(commands, folder, {**os.environ, **environment}, channels, log))
        return self._lives[-1]

    def program(self, folder: Path) -> Path:
        """Write a program ``gozen`` for shells into a folder; return the folder."""
        path = folder / "gozen"
        path.write_text(SHIM.format(python=sys.executable, path=str(self._path), used=str(folder / "used")))
        path.chmod(0o755)
        return folder

    def count(self, folder: Path) -> None:
        """Count what the calls of a folder's program have cost since this was asked last."""
        with contextlib.suppress(FileNotFoundError):
            add_elsewhere(sum(map(float, (folder / "used").read_text().split())))
            (folder / "used").unlink()

    def end_lives(self) -> None:
        """Kill what tests that failed have left."""
        for life in self._lives:
            if life.code is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(life.pid, signal.SIGKILL)

    def _begin(
        self,
        commands: Sequence[Sequence[str]],
        folder: Path,
        environment: Mapping[str, str],
        channels: tuple[int, int, int],
        log: Path,
    ) -> Life:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.connect(str(self._path))
        words = {"commands": [list(one) for one in commands], "folder": str(folder), "environment": dict(environment)}
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", channels))
        line.sendmsg([json.dumps(words).encode()], [rights])
        return Life(int(heard(line)["pid"]), log, line)


def heard(line: socket.socket) -> dict[str, float]:
    """Return what the server answers.

    Raises
    ------
    ConnectionError
        It has ended; the message names its log.
    """
    data = line.recv(MOST_BYTES)
    if not data:
        raise ConnectionError(f"the fork server has ended; its log is {line.getpeername()}.log")
    return dict(json.loads(data))


@contextlib.contextmanager
def fork_server(base: Path) -> Iterator[ForkServer]:
    """Return the server of a run, started by whoever asks first.

    Parameters
    ----------
    base
        A folder that all test processes of the run share.
    """
    path, users = base / "fork-server", base / "fork-server.users"
    with users.open("a") as using, (base / "fork-server.lock").open("w") as lock:
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _start(path, users)
        fcntl.flock(lock, fcntl.LOCK_UN)
        server = ForkServer(path)
        try:
            yield server
        finally:
            server.end_lives()


def _start(path: Path, users: Path) -> None:
    with (path.with_suffix(".log")).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("fork_server.py"), path, users],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests: it ends when they have
        )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == "ready\n", (path.with_suffix(".log")).read_text()
    process.wait()  # the server is a child of that one
