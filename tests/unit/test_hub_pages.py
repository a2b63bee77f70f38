"""Test the pages about the platform against the code: settings, metrics, values, a test for each row on security.

Covered: each setting of the hub with default and meaning; the settings that the chart sets; metrics of the portal; the
files that the pages show; the tests that the security table names exist. Not covered: whether these tests pass.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import helm_python as helm
import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gozen.portal.shell.metrics import Metrics
from gozen_hub.hub_settings import HubSettings, read_hub_settings

from .rendered_chart import CHART, S3, rendered

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "hub.md").read_text("utf-8")
PLATFORM = (ROOT / "docs" / "operations" / "run-the-platform.md").read_text("utf-8")
MACHINE = (ROOT / "docs" / "how-to" / "hub-on-one-machine.md").read_text("utf-8")
TESTS = re.compile(r"`((?:unit|services|cluster)/test_\w+\.py)`: ((?:`test_\w+`(?:, )?)+)")


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the names and fields of all settings, also of those in groups and in lists of groups."""
    for name, field in model.model_fields.items():
        group = group_of(field.annotation)
        if group is None or field.description:
            yield f"{prefix}{name}", field
        if group:
            yield from settings(group, f"{prefix}{name}.")


def group_of(kind: Any) -> type[BaseModel] | None:
    """Return the model in a type such as ``Group``, ``Group | None`` or ``tuple[Group, ...]``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for one in get_args(kind) if (found := group_of(one))), None)


def default_text(field: FieldInfo) -> str:
    """Return a default as the page writes it, with the other words that may be chosen."""
    value = field.default
    if field.is_required():
        return "must be given"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        text = ", ".join(f"`{one.title}`" for one in value)  # type: ignore[attr-defined] # profiles have titles
    elif isinstance(value, tuple) and value:
        text = ", ".join(f"`{one}`" for one in value)
    elif value is None or value in ("", (), frozenset(), {}):
        text = "none"
    else:
        text = f"`{str(value).lower() if isinstance(value, bool) else value}`"
    others = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    left = " or ".join(f"`{one}`" for one in others if one != value)
    return f"{text} (or {left})" if left else text


def rows_of(page: str, columns: int) -> dict[str, tuple[str, ...]]:
    """Return the rows of the tables of so many columns whose first cell is a name in backticks."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line[:3] == "| `"]
    return {one[0].strip("` "): tuple(one[1:]) for one in cells if len(one) == columns}


def test_every_setting_has_a_row_with_its_default_and_its_meaning() -> None:
    wanted = {name: (default_text(field), str(field.description)) for name, field in settings(HubSettings)}
    assert rows_of(REFERENCE, 3) == wanted, "\n".join(f"| `{n}` | {d} | {m} |" for n, (d, m) in wanted.items())


def test_the_settings_that_the_chart_sets_are_those_that_its_values_do_not_take() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["hub"]["properties"]["settings"]

    def given(part: Any, prefix: str = "") -> Iterator[str]:
        for name, inner in part.get("properties", {}).items():
            inner = inner.get("items", inner)
            yield f"{prefix}{name}"
            yield from given(inner, f"{prefix}{name}.")

    names = {name for name, _ in settings(HubSettings)}
    wanted = {one for one in names - set(given(schema)) if not one.startswith("namespaces.bindings.")}
    assert rows_of(REFERENCE, 2).keys() == wanted


def test_every_metric_of_the_portal_has_a_row() -> None:
    metrics = Metrics()
    metrics.count("/", 200, time.perf_counter())
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", metrics.text().decode(), re.MULTILINE))
    wanted = {name: kind for name, kind in kinds.items() if not name.endswith("_created")}
    shown = {name: cells[0] for name, cells in rows_of(REFERENCE, 4).items()}
    assert shown == wanted


def shown_files(page: str) -> list[str]:
    return re.findall(r"```yaml[^\n]*\n(.*?)```", page, re.DOTALL)


def test_the_values_that_the_page_shows_are_accepted_by_the_chart() -> None:
    values: dict[str, Any] = dict(S3)
    pieces = [yaml.safe_load(text) for text in shown_files(PLATFORM)]
    assert len(pieces) >= 2
    for piece in pieces:
        values = merged(values, piece)
    with helm.Chart.load(CHART) as chart:
        kinds = {one["kind"] for one in rendered(chart, values)}
    assert {"Ingress", "ValidatingAdmissionPolicy"} <= kinds


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return values as Helm combines those of several files."""
    both = {
        name: merged(first[name], second[name])
        for name in first.keys() & second.keys()
        if isinstance(first[name], dict) and isinstance(second[name], dict)
    }
    return {**first, **second, **both}


def test_the_settings_of_one_machine_that_the_page_shows_are_read(tmp_path: Path) -> None:
    files = shown_files(MACHINE)
    assert files
    whole: dict[str, Any] = {}
    for text in files:
        whole = merged(whole, yaml.safe_load(text))
        path = tmp_path / "hub.yaml"
        path.write_text(yaml.safe_dump(whole))
        assert read_hub_settings(path).where == "machine"


def security_rows() -> list[str]:
    section = PLATFORM.split("\n## Who can reach what\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| from |")]
    return rows + [f"* {item}" for item in " ".join(section.split()).split(" * ")[1:]]


@pytest.mark.parametrize("row", security_rows())
def test_each_row_of_security_names_tests_that_exist(row: str) -> None:
    named = TESTS.findall(row)
    assert named, "a row without a test"
    for module, tests in named:
        text = (ROOT / "tests" / module).read_text("utf-8")
        for test in re.findall(r"`(test_\w+)`", tests):
            assert f"\ndef {test}(" in text, f"{module} has no {test}"


def test_the_table_of_security_is_there() -> None:
    assert len(security_rows()) >= 15
