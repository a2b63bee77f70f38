"""``make cluster`` as a developer uses it: its output, kubectl in another terminal, an image, and Ctrl-C.

Covered: the commands that it prints, in the order of the documentation; `ctr images import`; nothing is left at the
end. Not covered: the build of missing programs, which `make test` does before.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .__main__ import WELCOME
from .base_images import pause_image
from .conftest import cannot_run
from .images import export_image
from .node import programs_of_a_node
from .tools import ToolMissingError

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node")]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "cluster.md"
SECONDS_TO_START = SECONDS_TO_END = 180


class Terminal:
    """``make cluster`` in the foreground of a terminal."""

    def __init__(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        self.process = subprocess.Popen(
            # What is installed here is what runs this test; it is not to be installed again meanwhile.
            ["make", "--old-file=.venv/.ready-dev", "cluster"],
            cwd=ROOT,
            env=clean,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def read_until(self, words: str) -> None:
        """Read on until these words are printed."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        deadline = time.monotonic() + SECONDS_TO_START
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while words not in self.said:
                assert time.monotonic() < deadline, f"not within {SECONDS_TO_START} s: {words}\n{self.said}"
                selector.select(timeout=1)
                self.said += os.read(self.process.stdout.fileno(), 65536).decode() if selector.select(0) else ""
                assert self.process.poll() is None, self.said

    def read_to_the_end(self) -> None:
        """Read what is printed until every process behind it has ended."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), True)
        self.said += self.process.stdout.read()

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for the end."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=SECONDS_TO_END)


@pytest.fixture(scope="module")
def terminal(root: None) -> Iterator[Terminal]:
    try:
        programs_of_a_node()
    except ToolMissingError as missing:
        cannot_run(str(missing))
    terminal = Terminal()
    try:
        terminal.read_until("Ctrl-C here ends")
        yield terminal
    finally:
        terminal.interrupt()


def shell(terminal: Terminal, command: str, stdin: Path | None = None) -> str:
    """Return what a command prints in another terminal, after the exports that the first one shows."""
    exports = [line.strip() for line in terminal.said.splitlines() if line.strip().startswith("export ")]
    with Path(stdin or os.devnull).open("rb") as given:
        done = subprocess.run(
            ["bash", "-euc", "\n".join([*exports, command])], stdin=given, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_that_it_prints_work(terminal: Terminal) -> None:
    commands = re.findall(r"^  (kubectl .*)$", terminal.said, re.MULTILINE)
    assert len(commands) == 2
    assert re.search(r"^gozen +Ready ", shell(terminal, commands[0]), re.MULTILINE)
    shell(terminal, commands[1])


def test_the_page_shows_what_it_says() -> None:
    shown = PAGE.read_text(encoding="utf-8")
    lines = [re.sub(r"\{.*?\}", "", line).strip() for line in WELCOME.splitlines()[:6] if line]
    plain = re.sub(r"/tmp/gozen-cluster-\.\.\.(/[\w.]+)?", "", shown)
    assert [line for line in lines if line not in plain] == []


def test_an_image_is_imported_with_its_ctr(terminal: Terminal, tmp_path: Path) -> None:
    export_image(pause_image(), tmp_path / "image.tar")
    shell(terminal, "ctr images import -", stdin=tmp_path / "image.tar")
    assert "localhost/gozen/pause:1" in shell(terminal, "ctr images list --quiet").splitlines()


def test_ctrl_c_ends_it_and_leaves_nothing(terminal: Terminal) -> None:
    found = re.search(r"export KUBECONFIG=(.*)/", terminal.said)
    assert found is not None
    folder = Path(found.group(1))
    assert folder.is_dir()
    terminal.interrupt()
    assert not folder.exists()
    holding = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder) in _text(path)]
    assert holding == []


def test_it_ends_with_its_terminal(root: None) -> None:
    starting = Terminal()
    starting.read_until("starting a Kubernetes node")
    os.killpg(starting.process.pid, signal.SIGHUP)
    assert starting.process.wait(timeout=60) != 0
    starting.read_to_the_end()
    assert "ending the cluster" in starting.said


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
