"""The example notebooks: each runs and draws; one gives the same results on Dask, and all do in ``make test-all``.

One kernel for each engine runs them one after another and is cleared in between, because starting a kernel takes most
of the time. The data are a small simulated survey, the table of a demo, and a Nextcloud at which a user is logged in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from distributed import LocalCluster
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from tests.effort import EVERYTHING

from gozen.sharing.account import Account

from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer

pytestmark = pytest.mark.xdist_group("demo")  # the demo is made once for all tests that look at it

FOLDER = Path(__file__).parents[2] / "notebooks"
ON_DASK = "pairs"
SAYS = {
    "colour-colour": ["stars in the diagram", "points by", "within a quarter of a degree of COSMOS"],
    "light-curve": [],
    "share-a-plot": ["2 shares withdrawn: only you see Gozen/light-curve-to-share/light-curve.png"],
    "pairs": ["pairs", "of them belong together"],
    "variable-stars": ["stars, ", "of them vary by more than 5 sigma", "309397108857808256 mag"],
    "your-own-table": ["M dwarfs in catalogs/m_dwarfs"],
}


@pytest.fixture(scope="module")
def archive(
    demo: Path, tmp_path_factory: pytest.TempPathFactory, command: Callable[..., subprocess.CompletedProcess[str]]
) -> Path:
    """Return an archive with a survey, and the light curves of the demo."""
    folder = tmp_path_factory.mktemp("notebooks")
    shutil.copytree(demo / "archive" / "catalogs", folder / "archive" / "catalogs")
    command("simulate", "objects", "--objects", "100000", cwd=folder)
    return folder / "archive"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharingServer]:
    """Return a Nextcloud with the two users of the notebook."""
    persons = [Person("hoshi", "of-hoshi"), Person("sora", "of-sora")]
    with SharingServer(tmp_path_factory.mktemp("nextcloud"), persons) as found:
        yield found


@pytest.fixture(scope="module")
def kernels(
    archive: Path, cloud: SharingServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, KernelManager]]:
    """Return a kernel for each engine, neither of which meets what the other has cached."""
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(2, threads_per_worker=1, dashboard_address=None))
        engines = {"local": "local", "dask": cluster.scheduler_address}
        yield {
            name: stack.enter_context(kernel(how, archive, cloud.account(), tmp_path_factory))
            for name, how in engines.items()
        }


@contextmanager
def kernel(engine: str, archive: Path, account: Account, folders: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """Run a kernel with the settings of a user."""
    manager = KernelManager(kernel_name="python3")
    settings = {"ARCHIVE": str(archive), "WORKERS": "1", "QUICKDB__ENGINE": engine}
    settings["QUICKDB__CACHE"] = str(folders.mktemp("cache"))
    settings["SHARING__STATE"] = str(folders.mktemp("notes"))
    settings |= {"SHARING__URL": account.url, "SHARING__USER": account.user, "NEXTCLOUD_PASSWORD": account.password}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GOZEN_")}
    environment = {**clean, **{f"GOZEN_{name}": value for name, value in settings.items()}}
    manager.start_kernel(env=environment, cwd=str(folders.mktemp("work")))
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def run(name: str, manager: KernelManager) -> list[dict[str, Any]]:
    """Run a notebook in a kernel; return the outputs of its cells."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    NotebookClient(notebook, km=manager, timeout=120).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def texts(outputs: list[dict[str, Any]]) -> str:
    """Return what was printed, warnings excluded."""
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def pictures(outputs: list[dict[str, Any]]) -> list[str]:
    """Return the pictures, as they are encoded."""
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def test_every_notebook_is_run() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_a_notebook_says_first_what_it_shows_and_has_no_outputs(name: str) -> None:
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    title, _, sentence = "".join(cells[0]["source"]).partition("\n\n")
    assert title.startswith("# ")
    assert sentence.startswith("This notebook ")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("name", SAYS)
def test_a_notebook_runs_and_says_the_same_on_dask(name: str, kernels: dict[str, KernelManager]) -> None:
    here = run(name, kernels["local"])
    said = texts(here)
    assert [part for part in SAYS[name] if part not in said] == []
    assert pictures(here)
    if EVERYTHING or name == ON_DASK:
        there = run(name, kernels["dask"])
        assert texts(there) == said
        assert pictures(there) == pictures(here)


def test_the_notebook_that_shares_can_be_run_again_and_shows_a_link_with_its_code(
    kernels: dict[str, KernelManager], cloud: SharingServer
) -> None:
    pages = [
        output["data"].get("text/html", "") for output in run("share-a-plot", kernels["local"]) if "data" in output
    ]
    assert any("/s/" in page and "<svg" in page for page in pages)
    assert any("sora" in page and "anyone with the link" in page and "my talk" in page for page in pages)
    folder = cloud.state.file("hoshi", "Gozen/light-curve-to-share")
    assert sorted(one.name for one in folder.iterdir()) == ["light-curve.csv", "light-curve.png"]
    assert not cloud.book.items
