"""Test the reference pages against the code: every error and command is there, and the examples are valid.

The pages of settings and of instrument profiles are tested with their code.
"""

import inspect
from pathlib import Path

import pytest

from gozen import errors
from gozen.archive.block_list import load_block_list
from gozen.cli.app import command

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
BRANCHES = {"GozenError", "Rejected", "Failed"}


def page(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "error",
    [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.GozenError)],
    ids=lambda error: error.__name__,
)
def test_every_error_has_a_row_with_its_exit_code(error):
    if error.__name__ in BRANCHES:
        return
    (row,) = [line for line in page("errors.md").splitlines() if line.startswith(f"| `{error.__name__}` |")]
    if not issubclass(error, errors.Rejected):
        assert row.split("|")[2].strip() == str(int(error.exit_code))


@pytest.mark.parametrize("code", list(errors.ExitCode))
def test_every_exit_code_is_explained(code):
    assert f"\n| {int(code)} | " in page("errors.md")


def test_every_verb_is_on_the_page_of_the_command_line():
    text = page("command-line.md")
    verbs = command().commands
    assert [verb for verb in verbs if f"`{verb}" not in text and f"`gozen {verb}" not in text] == []


def test_the_example_of_a_block_list_is_valid(tmp_path):
    path = tmp_path / "blocks.yaml"
    path.write_text(page("settings.md").split("```yaml\n")[1].split("```")[0])
    assert len(load_block_list(path)) == 3
