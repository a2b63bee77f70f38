"""A process that has imported Gozen and forks calls of the ``gozen`` command in milliseconds, for all test processes.

It is run as a script; `fork_client` connects to it. Each call has its own session, folder, environment and output
streams, and runs what the ``gozen`` command runs. There is one difference: workers are forked, whereas the installed
command starts new processes. The server ends when no test process holds the lock of its users.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import functools
import gc
import json
import multiprocessing
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

MOST_BYTES = 1 << 20
CHANNELS = 3
SECONDS_BETWEEN_LOOKS = 2.0
NIGHT = "20260115"
CAMERA = Path(__file__).parent / "small_camera.yaml"


def serve(listener: socket.socket, users: Path) -> None:
    """Fork what is asked for until nobody may ask any more."""
    chosen = selectors.DefaultSelector()
    chosen.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in (found := chosen.select(SECONDS_BETWEEN_LOOKS)):
            if key.fd in chosen.get_map():  # not closed by what came before it
                key.data(chosen, key)
        if not found and ends_alone(listener, users):
            return


def accept(chosen: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Take an asker, who may be slow to say what it wants."""
    asker, _ = key.fileobj.accept()  # type: ignore[union-attr]
    chosen.register(asker, selectors.EVENT_READ, begin)


def begin(chosen: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Fork the call that an asker wants."""
    asker: socket.socket = key.fileobj  # type: ignore[assignment]
    chosen.unregister(asker)
    data, sent, _, _ = asker.recvmsg(MOST_BYTES, socket.CMSG_LEN(CHANNELS * array.array("i").itemsize))
    if not data:  # it has gone
        asker.close()
        return
    channels = array.array("i")
    for _, _, one in sent:
        channels.frombytes(one)
    words = json.loads(data)
    pid = os.fork()
    if pid == 0:
        call(channels.tolist(), **words)
    for channel in channels:
        os.close(channel)
    answer(asker, {"pid": pid})
    chosen.register(os.pidfd_open(pid), selectors.EVENT_READ, functools.partial(end, pid, asker))
    chosen.register(asker, selectors.EVENT_READ, functools.partial(kill, pid))


def kill(pid: int, chosen: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Kill a call whose asker has gone."""
    chosen.unregister(key.fileobj)
    for send in (os.killpg, os.kill):  # it may not lead a group yet
        with contextlib.suppress(ProcessLookupError):
            send(pid, signal.SIGKILL)


def end(pid: int, asker: socket.socket, chosen: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Tell the asker how its call has ended, and what it cost."""
    chosen.unregister(key.fileobj)
    os.close(key.fd)
    with contextlib.suppress(KeyError):
        chosen.unregister(asker)
    _, status, used = os.wait4(pid, 0)
    answer(asker, {"code": os.waitstatus_to_exitcode(status), "processor_s": used.ru_utime + used.ru_stime})
    asker.close()


def ends_alone(listener: socket.socket, users: Path) -> bool:
    """Tell whether the last test process has gone; if so, nobody finds the socket any more."""
    with users.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        Path(listener.getsockname()).unlink()
    return True


def answer(asker: socket.socket, words: dict[str, float]) -> None:
    """Tell the asker, if it still listens."""
    with contextlib.suppress(OSError):
        asker.send(json.dumps(words).encode())


def call(channels: list[int], commands: list[list[str]], folder: str, environment: dict[str, str]) -> None:
    """Be the process of a call: run commands, each after the other's success."""
    import faulthandler

    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        for old, new in zip(channels, range(CHANNELS), strict=True):
            os.dup2(old, new)
        os.closerange(CHANNELS, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 16 else 1 << 16)
        faulthandler.enable()
        from gozen.cli.call import run

        for words in commands:
            code = run(words)
            if code:
                break
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def warm_up() -> None:
    """Simulate and reduce a small night in this process, so that all code is loaded and compiled."""
    import gozen.cli.app
    import gozen.watch.watch_loop  # what the verbs import when they run
    import gozen.workflow.append_nights
    import gozen.workflow.run_recipe  # noqa: F401
    from gozen.archive.raw.exposure_record import raw_exposures
    from gozen.archive.stores.open_store import open_store
    from gozen.frames.take_in import record_missing
    from gozen.instrument.profile import load_profile
    from gozen.lightcurves.append_commits import append
    from gozen.observing.raw_for_steps import works_of_exposures
    from gozen.reduction.reduce_all import reduce_here
    from gozen.reduction.sensor_masters import make_sensor_masters, masters_wanted
    from gozen.reduction.shared_inputs import open_shared_inputs
    from gozen.settings import Settings
    from gozen.simulator.simulate_night import SimulatedNight, Target, simulate_night

    with TemporaryDirectory() as folder:
        settings = Settings(archive=str(Path(folder) / "archive"), instrument=str(CAMERA))
        store, profile = open_store(settings.archive), load_profile(settings.instrument)
        field = [Target("field", 19.75, 29.71)]
        simulate_night(store, profile, SimulatedNight(NIGHT, field, sensors=["111"], nframe=6, seed=1))
        record_missing(store, NIGHT, profile)
        shared, exposures = open_shared_inputs(settings), raw_exposures(store, NIGHT)
        for masters in masters_wanted(exposures, profile.masters):
            make_sensor_masters(masters, shared)
        for work in works_of_exposures(exposures, [], ["wcs", "stack", "neo"], "r1")[:1]:
            reduce_here(work, shared)
        append(store, NIGHT)


def forget_what_was_read() -> None:
    """Empty every cache of a function: calls have other folders and settings."""
    for one in gc.get_objects():
        if isinstance(one, functools._lru_cache_wrapper):
            one.cache_clear()
    gc.freeze()


def fork_workers() -> None:
    """Let pools fork their workers: a fresh interpreter takes seconds to import what is loaded here."""
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda _=None: fork  # type: ignore[assignment]
    # A fresh interpreter has no handlers; those of the main process are not for its workers.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def main(path: str, users: str) -> None:
    """Load and compile everything, then serve, as nobody's child: what calls cost is told to who asked for them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("GOZEN_")]:
        del os.environ[name]
    fork_workers()
    with contextlib.redirect_stdout(sys.stderr):
        warm_up()
    forget_what_was_read()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(64)
        if os.fork():
            os._exit(0)
        os.write(1, b"ready\n")
        serve(listener, Path(users))


if __name__ == "__main__":
    main(*sys.argv[1:])
