"""Test the layout of the source tree: small folders, and names that are used for one thing only."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "pipelines" / "gozen", ROOT / "operator" / "gozen_operator")
MOST_MODULES = 20
"""In one folder; more of them are to be divided into sub-packages. `gozen.cli` has one module for each verb."""


def modules() -> Iterator[Path]:
    """Yield the modules of both planes, without those that Python looks for by their names."""
    for source in SOURCES:
        yield from (path for path in sorted(source.rglob("*.py")) if not path.stem.startswith("__"))


def test_no_folder_has_too_many_modules() -> None:
    found = Counter(path.parent.relative_to(ROOT) for path in modules())
    found.pop(Path("pipelines/gozen/cli"))
    assert {str(folder): count for folder, count in found.items() if count > MOST_MODULES} == {}


def test_no_two_modules_have_the_same_name() -> None:
    found = Counter(path.stem for path in modules())
    assert [name for name, count in found.items() if count > 1] == []


def test_no_two_classes_have_the_same_name() -> None:
    found = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_each_package_says_what_is_in_it() -> None:
    packages = [path for source in SOURCES for path in source.rglob("__init__.py")]
    assert [str(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []
