"""A process that has loaded Gozen and forks one life of the ``gozen`` command after the other, within milliseconds.

Run as a script; `Zygote` speaks to it. A life is a process group of its own with real workers, and calls what the
``gozen`` command calls. One thing differs from a shell's: workers are forked, where the product starts each afresh.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 120.0
"""Nothing that a life does takes so long, on any machine."""


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
    zygote: Zygote = field(repr=False)
    code: int | None = None

    def end(self) -> int:
        """Wait for the main process and return its exit code, negative for a signal.

        One that does not end in time is ended by SIGABRT, and all its processes say where they were.
        """
        if self.code is None:
            self.code = self.zygote.ask({"wait": self.pid})
        return self.code

    def ends_within(self, seconds: float) -> bool:
        """Wait for so long, or for the main process to end, and tell whether it has."""
        if self.code is not None:
            return True
        handle = os.pidfd_open(self.pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def said(self) -> str:
        """Return what it said so far."""
        return self.log.read_text(errors="replace")


class Zygote:
    """The process that forks lives; a context manager that ends it.

    Parameters
    ----------
    warm
        A folder with a raw archive, which it reduces to have all code loaded and compiled.
    environment
        Of the lives, besides that of this process.
    """

    def __init__(self, warm: Path, night: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, warm, night],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lives: list[Life] = []
        assert self._answer() == 0

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        for life in self._lives:  # those of a test that failed
            if life.code is None:
                os.killpg(life.pid, signal.SIGKILL)
        self._process.communicate("", timeout=30)

    def live(self, folder: Path, log: Path, *commands: Sequence[str], **environment: str) -> Life:
        """Start a life in a folder."""
        words = {"commands": commands, "folder": str(folder), "log": str(log), "environment": environment}
        self._lives.append(Life(self.ask(words), log, self))
        return self._lives[-1]

    def ask(self, words: Mapping[str, Any]) -> int:
        """Send one request and return its answer."""
        _to(self._process.stdin, json.dumps(words))
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has ended"
        return int(line)


def serve(warm: Path, night: str) -> None:
    """Load and compile everything, then fork what is asked for until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _warm_up(warm, night)
    _fork_workers()
    _to(answers, "0")
    for line in sys.stdin:
        words = json.loads(line)
        if "wait" in words:
            _to(answers, str(_ended(words["wait"])))
            continue
        pid = os.fork()
        if pid == 0:
            answers.close()
            _live(**words)
        _to(answers, str(pid))


def _ended(pid: int) -> int:
    """Return the exit code of a life."""
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], PATIENCE_S)[0]:
            os.killpg(pid, signal.SIGABRT)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(handle)


def _live(commands: list[list[str]], folder: str, log: str, environment: dict[str, str]) -> None:
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update(environment)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(old, new)
        faulthandler.enable()
        from gozen.cli.call import run

        for words in commands:
            code = run(words)
            if code:
                break
    finally:
        sys.stdout.flush()
        os._exit(code)


def _warm_up(folder: Path, night: str) -> None:
    """Reduce a night in this process: masters, sky and table."""
    os.chdir(folder)
    import gozen.cli.app
    import gozen.watch.watcher  # noqa: F401 - what the verb imports when it runs
    from gozen.archive.raw import raw_exposures
    from gozen.archive.store import open_store
    from gozen.instrument.profile import load_profile
    from gozen.lightcurves.night import append
    from gozen.observing.execution import works_of_exposures
    from gozen.reduction.bench import open_bench
    from gozen.reduction.exposure import reduce_here
    from gozen.reduction.masters import make_sensor_masters, masters_wanted
    from gozen.settings import Settings

    settings = Settings()
    store, profile, bench = open_store(settings.archive), load_profile(settings.instrument), open_bench(settings)
    exposures = raw_exposures(store, night)
    for masters in masters_wanted(exposures, profile.masters):
        make_sensor_masters(masters, bench)
    for work in works_of_exposures(exposures, [], ["wcs", "stack", "neo"], "r1")[:1]:
        reduce_here(work, bench)
    append(store, night)


def _fork_workers() -> None:
    """Let pools fork their workers: a fresh interpreter takes seconds to import what is loaded here."""
    import multiprocessing

    from gozen.reduction import pool
    from gozen.watch import workers

    fork = multiprocessing.get_context("fork")
    for module in (pool, workers):
        module.get_context = lambda _: fork  # type: ignore[attr-defined, assignment]
    # A fresh interpreter has no handlers; those of the main process are not for its workers.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _to(stream: IO[str] | None, line: str) -> None:
    assert stream is not None
    stream.write(line + "\n")
    stream.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])
