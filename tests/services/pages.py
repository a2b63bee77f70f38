"""Pages of the documentation as a reader follows them: the files that they show and the commands that they give.

A block with a title is a file (```` ```yaml title="recipe.yaml" ````). A ``console`` block contains commands after
``$`` and their output. This module also runs the commands; `test_docs` checks the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_BEGINS = re.compile(r"<!-- begins with: (.+?) -->")
_LIMIT_S = 1200
_LOOK_S = 1.0
EXEMPT = {
    "make demo": "CI runs it by itself",
    "make test": "CI runs it by itself, and this test is a part of it",
    "python with_spark.py": "test_spark runs it in a Java that it has already",
}


@dataclass(frozen=True)
class File:
    """A file that a page tells the reader to write."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Parameters
    ----------
    shows
        Lines that must appear in what it prints, in this order; ``...`` stands for any text.
    """

    line: str
    shows: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the page shows it as one that ends with an error."""
        return any(line.startswith("gozen: ") for line in self.shows)


def steps_of(page: str) -> Iterator[File | Command]:
    """Return files and commands in the order of the page."""
    for language, options, body in _FENCE.findall(page):
        title = _TITLE.search(options)
        if language == "console":
            yield from _commands(body)
        elif title:
            yield File(title.group(1), body)


def beginning_of(page: str) -> str | None:
    """Return what the folder of a page begins with: another page, or a fixture of data; None for an empty folder."""
    found = _BEGINS.search(page)
    return found.group(1) if found else None


def _commands(body: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        whole = re.match(r"(?:[^\n]*\\\n)*[^\n]*", part)
        assert whole is not None
        shows = part[whole.end() :].splitlines()
        yield Command(whole.group(), tuple(line for line in shows if line.strip()))


class Reader:
    """Someone who follows pages in a folder, with the programs of this installation on the path.

    Parameters
    ----------
    environment
        What is set besides.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._environment = environment
        self._last = 0

    def follow(self, page: str, beside: Future[None] | None = None) -> None:
        """Write every file and run every command; AssertionError where the page says something else.

        Parameters
        ----------
        beside
            What another thread does meanwhile for the commands; where it fails, its error is raised at once.
        """
        for step in steps_of(page):
            if isinstance(step, File):
                (self.folder / step.name).write_text(step.text, encoding="utf-8")
            elif step.line not in EXEMPT:
                self.run(step, beside)

    def run(self, command: Command, beside: Future[None] | None = None) -> None:
        """Run one command and compare what it prints and whether it succeeds; `beside` as for `follow`."""
        if command.line == "echo $?":
            assert command.shows == (str(self._last),), f"the page shows exit code {command.shows}, it is {self._last}"
            return
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GOZEN_")}
        environment = {**clean, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment |= self._environment
        with subprocess.Popen(
            ["bash", "-c", command.line],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                printed = _printed(process, beside)
            except BaseException:
                process.kill()
                raise
        self._last = process.returncode
        code = f"exit code {process.returncode}"
        assert (process.returncode != 0) == command.fails, f"$ {command.line}\n{printed}\n{code}"
        missing = first_missing(command.shows, printed)
        assert missing is None, f"$ {command.line}\nprints\n{printed}\nwithout the line\n{missing}"


def _printed(process: subprocess.Popen[str], beside: Future[None] | None) -> str:
    """Wait for a command, and return what it has printed."""
    deadline = time.monotonic() + _LIMIT_S
    while True:
        try:
            return process.communicate(timeout=_LOOK_S)[0]
        except subprocess.TimeoutExpired:
            if beside is not None and beside.done():
                beside.result()
            if time.monotonic() > deadline:
                raise


def first_missing(shown: tuple[str, ...], printed: str) -> str | None:
    """Return the first line shown that is not printed after those before it; the amount of blanks does not count."""
    rest = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in shown:
        parts = [" ".join(part.split()) for part in line.split("...")]
        pattern = re.compile(".*".join(map(re.escape, parts)))
        if not any(pattern.search(candidate) for candidate in rest):
            return line
    return None
