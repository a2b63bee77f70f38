"""A hostile function in isolation: its attacks, and their results.

Covered: network, credentials, files, processes and the isolation itself (attacks.py), with several rights of the worker
(those of the tests, nobody, nobody in a pod that forbids new privileges), each compared with the same attack without
protection; the state of the child in the kernel; machine code. Limits, answers, columns and the life of the process are
tested in the other modules test_isolation*.py.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gozen.errors import FunctionFailed

from . import attacks
from .kept_apart import Functions, pickled, refuse_all

REPOSITORY = Path(__file__).parents[2]


class Coder(Functions):
    """A function that brings its own machine code."""

    def machine_code(self, argument, ask):
        """Fork by the 32-bit interface: mov eax, 2; int 0x80; ret."""
        import ctypes
        import mmap

        page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
        page.write(b"\xb8\x02\x00\x00\x00\xcd\x80\xc3")
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)()


def nobody(*options: str) -> list[str]:
    """Return a command's beginning that gives up root, also where only root can reach the interpreter."""
    if os.geteuid() != 0:
        return []
    rights = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", *options]
    script = ["set -e"]
    for top, places in closed_folders().items():
        script += ["mount -t tmpfs -o mode=755 open /mnt"]
        script += [f"mkdir -p '/mnt/{place}'; mount --bind '{top}/{place}' '/mnt/{place}'" for place in places]
        script += [f"mount --move /mnt '{top}'"]
    return ["unshare", "--mount", "sh", "-c", "\n".join([*script, 'exec "$@"']), "sh", *rights]


def closed_folders() -> dict[str, list[str]]:
    """Return the folders that nobody may enter, with what is needed below them."""
    closed: dict[str, list[str]] = {}
    for needed in (Path(sys.base_prefix), Path(sys.prefix), REPOSITORY):
        top = next((one for one in reversed(needed.resolve().parents) if not one.stat().st_mode & 1), None)
        if top is not None:
            closed.setdefault(str(top), []).append(str(needed.resolve().relative_to(top)))
    return closed


def attacked(mode: str, names: tuple[str, ...], rights: list[str]) -> dict[str, dict[str, str]]:
    secret = {**os.environ, "AWS_SECRET_ACCESS_KEY": attacks.SECRET}
    command = [*rights, sys.executable, str(REPOSITORY / "tests/services/attacks.py"), mode, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", env=secret)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("user") == (65534 if rights else os.geteuid())
    return found


RIGHTS = {
    "as the tests run": [],
    "as nobody": nobody(),
    "without new privileges": nobody("--bounding-set=-all", "--no-new-privs"),
}


@pytest.mark.parametrize("rights", RIGHTS.values(), ids=RIGHTS.keys())
def test_what_a_function_tries_is_refused(rights):
    found = attacked("isolated", ("descriptors", "unnamed", *attacks.OVERVIEW), rights)
    assert sorted(kind for _, kind in found.pop("descriptors")) == ["device", "device", "device", "socket"]
    assert found.pop("unnamed") == []
    assert found.pop("owner") == 0  # of the process's files: no other process of the same user may trace it
    environment = found["secrets"].pop("environment")
    assert set(ast.literal_eval(environment)) <= {
        "HOME", "PATH", "TZ", "LC_ALL", "MPLCONFIGDIR",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "LD_LIBRARY_PATH",
    }  # fmt: skip
    got = {f"{name}: {what}": said for name, tried in found.items() for what, said in tried.items()}
    assert attacks.SECRET not in json.dumps(got) + environment
    assert {what: said[:60] for what, said in got.items() if not said.startswith(attacks.REFUSED)} == {}


def test_the_same_attempts_succeed_where_nothing_is_kept_apart():
    found = attacked("open", attacks.OVERVIEW, [])
    got = {f"{name}: {what}" for name, tried in found.items() for what, said in tried.items() if "refused" not in said}
    assert attacks.SECRET in found["secrets"]["worker's environ"]
    assert found["secrets"]["worker's memory"] == attacks.SECRET[:8]
    assert got >= {
        *(f"network: {what}" for what in ("inet", "unix", "abstract", "netlink", "pair")),
        *(f"secrets: {what}" for what in ("credentials", "passwd", "up and over", "home", "own folder's link")),
        *(f"writing: {what}" for what in ("create in /tmp", "append", "truncate", "chmod", "symlink", "memfd")),
        *(f"processes: {what}" for what in ("fork", "subprocess", "shell", "spawn", "multiprocessing", "clone")),
        *(f"others: {what}" for what in ("kill", "memory", "thread's signal", "limits", "owner of a descriptor")),
        *(f"loosening: {what}" for what in ("outlive the worker", "be dumpable", "folder")),
    }


def test_the_kernel_says_that_the_child_is_locked(lasting):
    lasting.start()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{lasting.pid}/status").read_text().splitlines())
    assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
    assert int(status["CapEff"], 16) == 0
    assert int(status["CapPrm"], 16) == 0


def test_calls_of_32_bit_programs_end_the_process(lasting):
    if os.uname().machine == "x86_64":
        with pytest.raises(FunctionFailed, match="SIGSYS"):
            lasting.call(pickled(Coder()), "machine_code", None, refuse_all)
