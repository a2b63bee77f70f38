"""Test that everything that docs, docstrings and comments cite exists: pages, decisions, links, modules, source files.

Not covered: anchors of links, which ``mkdocs build --strict`` checks, and addresses of other sites.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gozen.settings import Settings
from gozen_operator.operator_settings import OperatorSettings

ROOT = Path(__file__).parents[2]
FOLDERS = (".github", "benchmarks", "charts", "docs", "images", "notebooks", "operator", "pipelines", "tests")
SUFFIXES = {".ipynb", ".md", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml"}
SOURCES = {"gozen": ROOT / "pipelines", "gozen_operator": ROOT / "operator", "gozen_hub": ROOT / "operator"}
NOT_MODULES = {"gozen.toml", "gozen.astro", "gozen.commands", "gozen.drivers"}
"""A file of settings, the group of the resources, and groups of entry points."""
HISTORY = ROOT / "CHANGELOG.md"
"""It names what was moved by its old name too."""

Problem = str
Check = Callable[[Path, str], Iterator[Problem]]

_ELSEWHERE = re.compile(r"\b(?:DESI" + r"GN|CATA" + r"LOG|REV" + r"IEW|OBSER" + r"VING|READ" + r"ING)\b")
_PAGE = re.compile(r"\bdocs/[\w/.-]+\.(?:md|svg|png|py)\b")
_DECISION = re.compile(r"\b[Dd]ecisions?\s+(\d{4}(?:(?:,\s+|\s+and\s+|\s+to\s+)\d{4})*)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_MODULE = re.compile(r"(?:`~?|^::: )(gozen(?:_operator|_hub)?(?:\.\w+)+)(?:\(\))?(?:`|$)", re.MULTILINE)
_IMPORT = re.compile(r"^(?:>>> )?from (gozen[\w.]*) import ([\w, ]+)$", re.MULTILINE)
_PART = re.compile(r"(?<!`)`~?([a-z_]\w*(?:\.\w+)+)(?:\(\))?`(?!`)")
_TEST = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"\bdef (test_\w+)")
_FILE = re.compile(
    r"(?<![\w/(])((?:pipelines|operator)/gozen[\w/.-]*\w|(?:tests|benchmarks|charts|images)/[\w/.-]+\.\w+)"
)


def files() -> list[Path]:
    """Return all texts of the repository that cite."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    top = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES or path.name == "Makefile"]
    return sorted(path for path in [*found, *top] if "__pycache__" not in path.parts)


def cited_tests(path: Path, text: str) -> Iterator[Problem]:
    """Find names of tests, and of modules of tests, that do not exist."""
    if path != HISTORY:
        yield from (name for name in _TEST.findall(text) if name not in names_of_tests())


@functools.cache
def names_of_tests() -> frozenset[str]:
    """Return the names of all tests, their helpers and their modules."""
    paths = list((ROOT / "tests").rglob("*.py"))
    return frozenset(path.stem for path in paths).union(
        *(_DEFINED.findall(path.read_text(encoding="utf-8")) for path in paths)
    )


def elsewhere(path: Path, text: str) -> Iterator[Problem]:
    """Find names of documents that are not in the repository."""
    yield from (found.group() for found in _ELSEWHERE.finditer(text))


def pages(path: Path, text: str) -> Iterator[Problem]:
    """Find pages and pictures that do not exist."""
    yield from (name for name in _PAGE.findall(text) if not (ROOT / name).is_file() and "://" not in name)


def decisions(path: Path, text: str) -> Iterator[Problem]:
    """Find numbers of decisions that do not exist."""
    for numbers in _DECISION.findall(text):
        for number in re.findall(r"\d{4}", numbers):
            if not list((ROOT / "docs" / "decisions").glob(f"{number}-*.md")):
                yield f"decision {number}"


def links(path: Path, text: str) -> Iterator[Problem]:
    """Find relative links of a Markdown page that lead nowhere."""
    if path.suffix != ".md":
        return
    for target in _LINK.findall(text):
        name = target.partition("#")[0]
        if name and "://" not in name and not name.startswith("mailto:") and not (path.parent / name).exists():
            yield target


def modules(path: Path, text: str) -> Iterator[Problem]:
    """Find names of modules, and of what is in them, that do not exist."""
    if path == HISTORY:
        return
    names = [*_MODULE.findall(text)]
    if path.suffix == ".md":
        names += [f"{module}.{one.strip()}" for module, all_ in _IMPORT.findall(text) for one in all_.split(",")]
    yield from (name for name in names if name not in NOT_MODULES and not exists(name))


def parts_of_names(path: Path, text: str) -> Iterator[Problem]:
    """Find the same where only the last parts are given, as ``stores.s3_store``; in Python alone."""
    if path.suffix != ".py":
        return
    for name in _PART.findall(text):
        if not (is_installed(name.split(".")[0]) or is_setting(name) or is_end_of_a_name(name)):
            yield name


def source_files(path: Path, text: str) -> Iterator[Problem]:
    """Find paths of source files and folders that do not exist; Python files of tests name made-up ones."""
    if path.suffix == ".py" and path.is_relative_to(ROOT / "tests"):
        return
    yield from (name for name in _FILE.findall(text) if not (ROOT / name).exists())


def exists(name: str) -> bool:
    """Tell whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    folder = SOURCES[parts[0]]
    for count in range(len(parts), 0, -1):
        place = folder.joinpath(*parts[:count])
        for module in (place.with_suffix(".py"), place / "__init__.py"):
            if module.is_file():
                return count == len(parts) or ".".join(parts[count:][:2]) in defined_in(module)
    return False


@functools.cache
def is_installed(module: str) -> bool:
    """Tell whether a module stands by itself: ours, of the standard library, of a package."""
    found = module in SOURCES or importlib.util.find_spec(module)
    return found is True or (found is not None and found.origin is not None)


def is_setting(name: str) -> bool:
    """Tell whether a name is that of a setting in a group, as ``watch.settle_s``."""
    group, _, setting = name.partition(".")
    groups = [
        model.model_fields[group].annotation for model in (Settings, OperatorSettings) if group in model.model_fields
    ]
    return any(setting in getattr(one, "model_fields", ()) for one in groups)


def is_end_of_a_name(name: str) -> bool:
    """Tell whether a module, or something in one, has a name that ends so, or a file is called so."""
    parts = name.split(".")
    if parts[-1] == "py":
        return parts[0] in modules_by_name()
    for count in range(len(parts), 0, -1):
        ends = [path for path in modules_by_name().get(parts[count - 1], ()) if dotted(path)[-count:] == parts[:count]]
        if any(count == len(parts) or ".".join(parts[count:][:2]) in defined_in(path) for path in ends):
            return True
    return False


def dotted(module: Path) -> list[str]:
    """Return the parts of a module's name."""
    inner = module.relative_to(ROOT).with_suffix("").parts
    return [part for part in inner if part != "__init__"]


@functools.cache
def modules_by_name() -> dict[str, list[Path]]:
    """Return the modules of the repository by the last part of their names."""
    found: dict[str, list[Path]] = {}
    for folder in (*SOURCES.values(), ROOT / "tests", ROOT / "benchmarks", ROOT / "images"):
        for path in folder.rglob("*.py"):
            found.setdefault(dotted(path)[-1], []).append(path)
    return found


@functools.cache
def defined_in(module: Path) -> frozenset[str]:
    """Return the names of a module, and those of its classes as ``Class.name``."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    names = set(_bound(body))
    for one in body:
        if isinstance(one, ast.ClassDef):
            inner = [node for node in ast.walk(one) if isinstance(node, ast.Attribute)]
            names |= {f"{one.name}.{name}" for name in _bound(one.body)}
            names |= {f"{one.name}.{node.attr}" for node in inner if getattr(node.value, "id", "") == "self"}
    return frozenset(names)


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for one in body:
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield one.name
        elif isinstance(one, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in one.names)
        elif isinstance(one, (ast.Assign, ast.AnnAssign)):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(one, ast.If):
            yield from _bound(one.body)


@pytest.mark.parametrize(
    "check", [elsewhere, pages, decisions, links, modules, parts_of_names, source_files, cited_tests]
)
def test_what_is_cited_exists(check: Check) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in files()
        if path != Path(__file__)
        for problem in check(path, path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (elsewhere, '"""The layout of keys (DESI' + 'GN §4)."""'),
        (cited_tests, "as in `test_of_" + "nothing`"),
        (pages, "# see docs/reference/" + "no_such.md"),
        (decisions, "as in deci" + "sion 9999"),
        (decisions, "as in deci" + "sions 0001 and 9999"),
        (links, "[a page](no_such.md#part)"),
        (modules, "`gozen.archive.no_such`"),
        (modules, "`gozen.archive.commit.no_such`"),
        (modules, "`gozen.archive.commit.SensorCommit.no_such`"),
        (modules, "::: gozen.no_such"),
        (modules, "from gozen.catalog import no_such"),
        (parts_of_names, "`stores.no_such_" + "store`"),
        (parts_of_names, "`no_such_" + "module.py`"),
        (parts_of_names, "`commit.no_such_" + "name`"),
        (parts_of_names, "`watch.no_such_" + "setting`"),
        (source_files, "pipelines/gozen/" + "no_such.py"),
        (source_files, "operator/gozen_operator/" + "no_such"),
        (source_files, "tests/unit/" + "test_no_such.py"),
    ],
)
def test_what_does_not_exist_is_found(check: Check, text: str) -> None:
    path = ROOT / ("setup.py" if check is parts_of_names else "README.md")
    assert len(list(check(path, text))) == 1


def test_what_exists_is_not_found() -> None:
    named = "`stores.s3_store`, `keys.py`, `commit.SensorCommit`, `functools.cache`, `watch.settle_s`"
    assert list(parts_of_names(ROOT / "setup.py", named)) == []
    text = (
        "decisions 0001 and 0002, docs/index.md, [this](docs/index.md#how-to), `gozen.archive.commit.SensorCommit`, "
        "`gozen.toml`, pipelines/gozen/cli, tests/unit/test_citations.py"
    )
    assert [
        one for check in (pages, decisions, links, modules, source_files) for one in check(ROOT / "x.md", text)
    ] == []
