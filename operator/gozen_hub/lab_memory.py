"""Say in a notebook that the memory of the lab was used up: a kernel that the system kills cannot say it itself.

The system counts the processes of the lab's container that it has killed because the memory was used up. A kernel that
starts compares this count with the one that the kernel before it saw. The first cell that runs then shows a sentence.
If the system kills the whole container at once, as nodes with version 2 of control groups do, the container starts
again, and the sentence says that.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from gozen_hub.full_home import RUNTIME

STARTUP = Path(__file__).with_name("jupyter") / "startup.py"
"""The file that each kernel runs first."""
_GROUPS = Path("/sys/fs/cgroup")
_STATE = "gozen-lab-memory.json"
_ADVICE = "Read less data at a time, run functions on your workers, or choose a larger size of lab."


def note_start(folder: Path) -> None:
    """Record a start of the lab; called in the container before the lab starts.

    Parameters
    ----------
    folder
        A folder that outlives the container, but not the pod.
    """
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder, {"killed": 0, "again": (folder / _STATE).exists()})


def reminder(folder: Path, groups: Path = _GROUPS) -> str:
    """Return a sentence if memory was used up since the last call; else an empty text."""
    before, now = _read(folder), killed(groups)
    _write(folder, {"killed": now or 0, "again": False})
    if before.get("again"):
        return (
            f"This lab has ended and started again, perhaps because its memory ({limit(groups)}) was used up. {_ADVICE}"
        )
    if now is not None and now > int(before.get("killed", now)):
        return (
            f"A process of this lab was ended, because the memory of the lab ({limit(groups)}) was used up. {_ADVICE}"
        )
    return ""


def remind() -> None:
    """Show the sentence of `reminder`, if there is one, with the first cell; each kernel calls this at its start."""
    if "IPython" not in sys.modules or RUNTIME not in os.environ:  # the Python of a terminal, or a lab without a pod
        return
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    text = reminder(Path(os.environ[RUNTIME]))
    if not text:
        return

    def show(*_: object) -> None:
        shell.events.unregister("pre_run_cell", show)
        sys.stderr.write(f"{text}\n")

    shell.events.register("pre_run_cell", show)


def killed(groups: Path) -> int | None:
    """Return how many processes of this container the system has killed for lack of memory; None if not known."""
    for file in (groups / "memory.events", groups / "memory" / "memory.oom_control"):
        try:
            words = [line.split() for line in file.read_text().splitlines()]
        except OSError:
            continue
        return next((int(value) for name, value in words if name == "oom_kill"), None)
    return None


def limit(groups: Path) -> str:
    """Return the memory of this container."""
    for file in (groups / "memory.max", groups / "memory" / "memory.limit_in_bytes"):
        try:
            return f"{int(file.read_text()) / 2**30:.1f} GiB"
        except (OSError, ValueError):
            continue
    return "its limit"


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(folder: Path, state: dict[str, Any]) -> None:
    with suppress(OSError):  # without the note a sentence may be missing, but a kernel starts
        (folder / _STATE).write_text(json.dumps(state))
