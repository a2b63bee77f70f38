"""Test the operator's pages against the code: an entry for every setting and reason, and valid examples."""

import re
from pathlib import Path

import yaml

from gozen_operator.operator_settings import OperatorSettings, PodSettings, PublishSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPERATOR = ROOT / "operator" / "gozen_operator"


def test_every_setting_has_a_row():
    page = (DOCS / "reference" / "operator.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| .* \| (.+) \|$", page, re.MULTILINE))
    groups = {"pods": PodSettings, "publish": PublishSettings}
    fields = {name: one.description for name, one in OperatorSettings.model_fields.items() if name not in groups}
    for group, settings in groups.items():
        fields |= {f"{group}.{name}": one.description for name, one in settings.model_fields.items()}
    assert rows == fields


def test_every_reason_has_an_entry_in_the_playbook():
    modules = [*OPERATOR.glob("reconcile/reconcile_*.py"), OPERATOR / "reconcile" / "sensor_outcome.py"]
    modules += [OPERATOR / "process" / "read_sources.py"]
    text = "".join(module.read_text() for module in modules)
    said = set(re.findall(r'"(?:Unknown|False|True)", "([A-Z][A-Za-z]+)"', text))
    said |= set(re.findall(r'(?:return |\(|else |if \w+ else )\(?"([A-Z][A-Za-z]{5,})",', text))
    said -= {"Accepted", "Complete", "Succeeded", "RawAvailable", "Executed", "Unknown", "Valid", "Warning", "Normal"}
    said -= {"False", "Launched", "Reduced", "RawOnly", "Appended", "Arrived", "Failed", "Rejected"}
    playbook = (DOCS / "operations" / "playbook.md").read_text("utf-8")
    assert len(said) > 15
    assert sorted(reason for reason in said if f"`{reason}`" not in playbook) == []


def test_the_values_that_the_installation_shows_are_whole():
    page = (DOCS / "how-to" / "install-on-your-cluster.md").read_text("utf-8")
    shown = re.findall(r"```yaml[^\n]*\n(.*?)```", page, re.DOTALL)
    assert len(shown) > 2
    known = yaml.safe_load((ROOT / "charts" / "gozen" / "values.yaml").read_text())

    def unknown(mine, theirs, path=""):
        for word, value in mine.items():
            if word not in theirs:
                yield f"{path}.{word}"
            elif isinstance(value, dict) and theirs[word]:
                yield from unknown(value, theirs[word], f"{path}.{word}")

    assert [word for values in shown for word in unknown(yaml.safe_load(values), known)] == []
