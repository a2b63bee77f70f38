"""The notebooks that users start from: each runs and draws, in one kernel, one after another.

Their data: a small simulated survey and the table of a demo. That they say the same on a user's own workers is shown in
a lab, by tests/cluster/test_platform.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from .notebook_runs import FOLDER, kernel, pictures, run, texts

pytestmark = pytest.mark.xdist_group("demo")  # the demo is made once for all tests that look at it

SAYS = {
    "colour-colour": ["stars in the diagram", "points by", "within a quarter of a degree of COSMOS"],
    "light-curve": [],
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
def manager(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    with kernel(archive, tmp_path_factory.mktemp("work")) as found:
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
