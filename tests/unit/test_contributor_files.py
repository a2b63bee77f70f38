"""Test the files for contributors: valid forms, workflow, hooks and citation; existing targets and files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HUB = ROOT / ".github"
FORMS = sorted((HUB / "ISSUE_TEMPLATE").glob("*.yaml"))
YAML = [*FORMS, *sorted((HUB / "workflows").glob("*.yaml")), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", ROOT / ".github/pull_request_template.md", *YAML]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_it_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_has_what_the_forge_asks_for(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in form["body"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_targets_that_it_names_exist(path: Path) -> None:
    named = set(
        re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b(?=[`\s:)]*(?:$|[`:);,]|\n))", path.read_text(), re.MULTILINE)
    )
    assert named <= TARGETS, named - TARGETS


def test_the_hooks_run_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    recipe = (ROOT / "Makefile").read_text()
    for hook in hooks:
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert f"$(BIN)/{program}" in recipe


def test_the_citation_names_the_licence_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] in (ROOT / "pyproject.toml").read_text()
    assert citation["authors"]
