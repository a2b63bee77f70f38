"""A pytest plugin that records passed tests, so that an interrupted ``make test-all`` continues where it stopped.

``GOZEN_PASSED`` is a file of test names. The plugin leaves out the tests that the file names, and adds those that pass.
The file belongs to one state of the checkout; after any change of a file, a new one is begun.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from .clock import say

PASSED = "GOZEN_PASSED"


def remember_tree(root: Path) -> Path:
    """Return the file of the tests that passed with the files as they are now."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=root, capture_output=True, check=True).stdout.split(b"\0")
    digest = hashlib.sha256(os.environ.get("GOZEN_SEED", "").encode())
    for name in sorted(filter(None, names)):
        path = root / os.fsdecode(name)
        digest.update(name + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    folder = root / "build" / "test-all"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest.hexdigest()[:16]}.passed"
    path.touch()
    # What workers read must not grow while they read it.
    path.with_suffix(".begun").write_bytes(path.read_bytes())
    return path


def resumes(environment: Mapping[str, str]) -> bool:
    """Tell whether some tests have passed in an earlier run."""
    return Path(environment[PASSED]).stat().st_size > 0


def pytest_configure(config: pytest.Config) -> None:
    """Leave out and remember where a file is named."""
    if os.environ.get(PASSED):
        config.pluginmanager.register(_Passed(Path(os.environ[PASSED]), config), "gozen-passed")


class _Passed:
    def __init__(self, path: Path, config: pytest.Config) -> None:
        self._before = set(path.with_suffix(".begun").read_text().splitlines())
        self._speaks = "PYTEST_XDIST_WORKER" not in os.environ
        self._path, self._config = path, config
        self._failed: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what has passed."""
        gone = [item for item in items if name_of(item.nodeid) in self._before]
        items[:] = [item for item in items if name_of(item.nodeid) not in self._before]
        if gone:
            self._config.hook.pytest_deselected(items=gone)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down what passes, once it is torn down."""
        if not self._speaks:
            return
        if not report.passed:
            self._failed.add(report.nodeid)
        elif report.when == "teardown" and report.nodeid not in self._failed:
            with self._path.open("a") as file:
                file.write(name_of(report.nodeid) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Count it as a success where all tests have passed before."""
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._before:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self) -> None:
        """Say what was not run again."""
        if self._speaks and self._before:
            say(f"{len(self._before)} tests passed in an earlier run of the same files and were not run again")


def name_of(nodeid: str) -> str:
    """Return a test's name without the group that xdist adds to it."""
    return re.sub(r"@[^\]@/]*$", "", nodeid)
