"""A JupyterLab with Gozen's dialog for sharing, as on a laptop: a process of its own, and the page in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page
from tests.free_ports import free_port

from gozen.sharing.lab import JUPYTER

from .watched_processes import wait_until

TOKEN = "of-the-test"


@contextmanager
def jupyter_lab(root: Path, home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run JupyterLab with a folder, and a home without settings; yield the address of its page."""
    port = free_port()
    words = ["--no-browser", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}", f"--notebook-dir={root}"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GOZEN_", "JUPYTER"))}
    ours = {"HOME": str(home), "JUPYTER_PATH": str(JUPYTER), "JUPYTER_CONFIG_PATH": str(JUPYTER)}
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", *words]
    with (home / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env={**clean, **ours, **environment}, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/lab?token={TOKEN}"
    try:
        wait_until(lambda: process.poll() is not None or _answers(address))
        assert process.poll() is None, (home / "lab.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address.replace("/lab?", "/api/status?"), timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def set_up(home: Path, *, language: str = "en", theme: str = "JupyterLab Light") -> None:
    """Choose language and theme of a lab before it starts."""
    settings = home / ".jupyter" / "lab" / "user-settings" / "@jupyterlab"
    for name, text in {
        "translation-extension/plugin": f'{{"locale": "{language}"}}',
        "apputils-extension/themes": f'{{"theme": "{theme}"}}',
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def open_dialog(page: Page, name: str, entry: str = "Share through Nextcloud…") -> Locator:
    """Open the dialog for a file, by the menu of the file browser."""
    page.locator(".jp-DirListing-item", has_text=name).first.click(button="right")
    page.locator(".lm-Menu-itemLabel", has_text=entry).click()
    return page.locator(".jp-Dialog-content")
