"""Run the notebooks that users start from, in a kernel with the settings of a user, and look at what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from gozen.sharing.account import Account

FOLDER = Path(__file__).parents[2] / "notebooks"
SECONDS_FOR_A_CELL = 120
Outputs = list[dict[str, Any]]


@contextmanager
def kernel(archive: Path, folder: Path, account: Account | None = None) -> Iterator[KernelManager]:
    """Run a kernel that reads an archive and works in an empty folder; with an account, it is logged in there."""
    manager = KernelManager(kernel_name="python3")
    settings = {"ARCHIVE": str(archive), "WORKERS": "1", "QUICKDB__ENGINE": "local"}
    settings |= {"QUICKDB__CACHE": str(folder / "cache"), "SHARING__STATE": str(folder / "notes")}
    if account is not None:
        settings |= {"SHARING__URL": account.url, "SHARING__USER": account.user, "NEXTCLOUD_PASSWORD": account.password}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GOZEN_")}
    environment = {**clean, **{f"GOZEN_{name}": value for name, value in settings.items()}}
    manager.start_kernel(env=environment, cwd=str(folder))
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def run(name: str, manager: KernelManager) -> Outputs:
    """Run a notebook in a kernel, which it finds empty; return the outputs of its cells."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    NotebookClient(notebook, km=manager, timeout=SECONDS_FOR_A_CELL).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def texts(outputs: Outputs) -> str:
    """Return what was printed, warnings excluded."""
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def pictures(outputs: Outputs) -> list[str]:
    """Return the pictures, as they are encoded."""
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
