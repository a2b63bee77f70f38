"""The two users of the platform's release: browsers, tokens, kernels, homes, and the expected results of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as BrowserTimeout
from tests.services.hub_client import called, printed, status
from tests.services.notebook_runs import Outputs

from gozen import quickdb

from .platform_release import Platform
from .platform_values import USERS
from .processes import wait_until

MAPREDUCE = """
import numpy as np
from gozen import quickdb


def moments(patch):
    flux = np.asarray(patch("lightcurves.flux"), dtype=float)
    return np.array([len(flux), np.nansum(flux), np.nansum(flux * 1e-7)])


def add(a, b):
    return a + b

"""
NOTEBOOK = """
import json
import sys

import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(f"/opt/gozen/notebooks/{sys.stdin.read()}.ipynb", as_version=4)
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
print(json.dumps([output for cell in notebook.cells for output in cell.get("outputs", [])]))
"""
TOUCH = "from pathlib import Path\nPath('/home/gozen/mine.txt').write_text('kept')"
"""Leaves a file in the home of a user."""


def answer_of_a_laptop(archive: Path) -> str:
    """Return what the functions give on this computer, to the bit."""
    here: dict[str, Any] = {}
    exec(MAPREDUCE, here)
    with quickdb.connect(archive, workers=0) as api:
        return bytes(api.mapreduce(here["moments"], here["add"], cache=False)).hex()


@contextmanager
def people(platform: Platform, browser: Browser) -> Iterator[dict[str, Page]]:
    """Yield a page of each user, who has logged in."""
    found = {}
    for name in USERS:
        page = browser.new_context(locale="en-GB").new_page()
        platform.log_in(page, name)
        page.wait_for_url("**/services/portal/**", timeout=60_000)
        found[name] = page
    yield found
    for page in found.values():
        page.context.close()


def opened(platform: Platform, pages: dict[str, Page]) -> dict[str, str]:
    """Open the lab of each user with a notebook; return a token of each."""
    for page in pages.values():  # all labs start at once
        page.goto(f"{platform.url}/hub/spawn")
    found = {}
    for name, page in pages.items():
        try:
            platform.open_notebook(page, "light-curve.ipynb")
        except BrowserTimeout as error:
            raise AssertionError(platform.told_of(name)) from error
        found[name] = platform.token_of(page)
    return found


def notebook_in_lab(platform: Platform, name: str, notebook: str) -> Outputs:
    """Run a notebook of the image in the lab of a user, as a user gets it; return the outputs of its cells."""
    return list(json.loads(platform.in_lab(name, NOTEBOOK, notebook, seconds=400).splitlines()[-1]))


def address_of(platform: Platform, component: str) -> str:
    """Return the address of the only pod of a component of the release."""
    words = ("get", "pods", f"--selector=app.kubernetes.io/component={component}", "--output=json")
    (pod,) = platform.data(*words)["items"]
    return str(pod["status"]["podIP"])


def workers_of(platform: Platform, name: str, role: str = "worker") -> list[Any]:
    """Return the pods of workers of a user, or that of the scheduler."""
    words = ("get", "pods", f"--selector=dask.org/component={role}", "--output=json")
    return list(platform.data_of(name, *words)["items"])


def left_of(platform: Platform, name: str) -> list[str]:
    """Return the names of all that runs for a user."""
    return platform.of_user(name, "get", "pods,daskclusters", "--output=name", check=True).stdout.split()


class Kernel:
    """A kernel in the lab of a user.

    Parameters
    ----------
    token
        A token of the user.
    """

    def __init__(self, platform: Platform, name: str, token: str) -> None:
        self._lab, self._token = f"{platform.user_url(name)}/api", token
        self._id = ""
        self._make()

    @property
    def url(self) -> str:
        """Address of its channels."""
        return f"{self._lab}/kernels/{self._id}/channels"

    def says(self, code: str) -> str:
        """Run code; return what it prints."""
        return printed(self.url, self._token, code)

    def again(self, seconds: float) -> str:
        """Wait until the kernel runs again, or start another one if its lab has; return what the first cell prints."""
        text = ""

        def alive() -> bool:
            nonlocal text
            if status(f"{self._lab}/kernels/{self._id}", self._token) == 404:
                self._make()
            text += self.says("print('it runs')")
            return "it runs" in text

        wait_until(lambda: status(f"{self._lab}/kernels", self._token) == 200 and alive(), "the kernel", seconds)
        return text

    def _make(self) -> None:
        self._id = str(called(f"{self._lab}/kernels", self._token, "POST", {"name": "python3"})["id"])
