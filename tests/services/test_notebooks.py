"""The example notebooks: each runs and draws, in one kernel, one after another.

The data are a small simulated survey, the table of a demo, and a Nextcloud at which a user is logged in. A test in
tests/cluster/test_platform.py shows that notebooks give the same results on a user's own workers in a lab.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer
from .notebook_runs import FOLDER, kernel, pictures, run, texts

pytestmark = pytest.mark.xdist_group("demo")  # the demo is made once for all tests that look at it

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
def manager(archive: Path, cloud: SharingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """Return the kernel of a user who is logged in at the Nextcloud."""
    with kernel(archive, tmp_path_factory.mktemp("work"), cloud.account()) as found:
        yield found


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
def test_a_notebook_runs_and_draws(name: str, manager: KernelManager) -> None:
    shown = run(name, manager)
    said = texts(shown)
    assert [part for part in SAYS[name] if part not in said] == []
    assert pictures(shown)


def test_the_notebook_that_shares_can_be_run_again_and_shows_a_link_with_its_code(
    manager: KernelManager, cloud: SharingServer
) -> None:
    pages = [output["data"].get("text/html", "") for output in run("share-a-plot", manager) if "data" in output]
    assert any("/s/" in page and "<svg" in page for page in pages)
    assert any("sora" in page and "anyone with the link" in page and "my talk" in page for page in pages)
    folder = cloud.state.file("hoshi", "Gozen/light-curve-to-share")
    assert sorted(one.name for one in folder.iterdir()) == ["light-curve.csv", "light-curve.png"]
    assert not cloud.book.items
