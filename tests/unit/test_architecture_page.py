"""Test the architecture page: it names every package, its first files and tests exist, its picture is up to date.

That the paths and links of the page exist is tested in test_citations.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
IMAGES = ROOT / "docs" / "images"
PLANES = ("pipelines/gozen", "operator/gozen_operator", "operator/gozen_hub")
TASKS = [line.split("|")[1:-1] for line in PAGE.split("## Where do I put")[1].splitlines() if line.startswith("| ")]
MADE_UP = {"exposure.json", "gozen.toml", "words.ja.json"}
"""Objects of an archive, and a file of users; the last one is in a folder that its row names."""
BASES = [ROOT, *(ROOT / plane for plane in PLANES), ROOT / "tests"]
PATH = re.compile(r"`([a-z_]\w*(?:/\w[\w.-]*)*\.(?:js|py|toml|ya?ml|json)|[a-z]+/[a-z]\w*/Dockerfile)`")


def rooms() -> list[str]:
    """Return the packages and the modules at the top of both planes."""
    packages = [path.parent for plane in PLANES for path in (ROOT / plane).rglob("__init__.py")]
    modules = [path for plane in PLANES for path in (ROOT / plane).glob("*.py") if not path.name.startswith("__")]
    found = sorted(path.relative_to(ROOT).as_posix() for path in [*packages, *modules])
    return [one for one in found if one not in PLANES]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(IMAGES / "architecture.py"), run_name="architecture_picture")


def places(path: str) -> list[Path]:
    """Return the files that a path of the page may be."""
    return [base / path for base in BASES if (base / path).is_file()]


@pytest.mark.parametrize("path", sorted(set(PATH.findall(PAGE)) - MADE_UP))
def test_each_path_is_one_file(path: str) -> None:
    assert len(places(path)) == 1


@pytest.mark.parametrize("room", rooms())
def test_each_package_has_one_line(room: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{room}` |")]
    assert len(rows) == 1


def test_each_task_names_a_first_file_and_a_test() -> None:
    rows = [row for row in TASKS if row[0].strip() != "to change or add"]
    assert len(rows) >= 40
    for task, first, others in rows:
        (path,) = PATH.findall(first)
        assert places(path), task
        assert (ROOT / "tests" / PATH.findall(others)[0]).is_file(), task


def test_no_task_stands_twice() -> None:
    tasks = [row[0].strip() for row in TASKS if row[0].strip() != "to change or add"]
    assert len(tasks) == len(set(tasks))


def test_the_picture_is_what_its_script_draws(script: dict[str, Any]) -> None:
    assert (IMAGES / "architecture.svg").read_text(encoding="utf-8") == script["picture"]()


def test_the_picture_names_packages_that_exist(script: dict[str, Any]) -> None:
    named = {name.strip() for box in script["BOXES"] if box.kind != "other" for name in box.title.split(",")}
    known = {Path(room).stem for room in rooms()}
    assert named - known == set()


def test_the_pages_where_people_begin_lead_to_it() -> None:
    for page in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/index.md",
        "docs/contribute/tests.md",
        "docs/contribute/releases.md",
    ):
        assert "architecture.md" in (ROOT / page).read_text(encoding="utf-8"), page
    assert "architecture.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
