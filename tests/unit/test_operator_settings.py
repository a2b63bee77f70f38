"""Test the environment variables of the operator: values and refusals. The chart's are in test_chart."""

import sys

import pytest

from gozen.errors import BadRequest, ExitCode
from gozen_operator import main
from gozen_operator.operator_settings import load_operator_settings, unknown_variables


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("GOZEN_OPERATOR_MAX_ACTIVE_JOB", "GOZEN_OPERATOR_MAX_ACTIVE_JOBS"),
        ("GOZEN_OPERATOR_POD__IMAGE", "GOZEN_OPERATOR_PODS__IMAGE"),
        ("GOZEN_OPERATOR_PODS__IMAGES", "GOZEN_OPERATOR_PODS__IMAGE"),
        ("GOZEN_OPERATOR_PODS_IMAGE", "GOZEN_OPERATOR_PODS__IMAGE"),
        ("gozen_operator_nanespaces", "GOZEN_OPERATOR_NAMESPACES"),
        ("GOZEN_OPERATOR_LOOK_S__X", "GOZEN_OPERATOR_LOOK_S"),
    ],
)
def test_a_misspelled_variable_is_refused_with_the_right_one(
    monkeypatch: pytest.MonkeyPatch, wrong: str, right: str
) -> None:
    monkeypatch.setenv(wrong, "1")
    with pytest.raises(BadRequest, match=f"^{wrong} is not a setting: write {right}, ") as refused:
        load_operator_settings()
    assert refused.value.exit_code == ExitCode.BAD_REQUEST


def test_a_variable_that_resembles_none_is_refused_and_all_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOZEN_OPERATOR_Q", "1")
    monkeypatch.setenv("GOZEN_OPERATOR_PODS__QUEUES", "1")
    with pytest.raises(BadRequest, match=r"GOZEN_OPERATOR_PODS__QUEUES .*; GOZEN_OPERATOR_Q .*operator\.md"):
        load_operator_settings()


def test_groups_tables_and_their_entries_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GOZEN_OPERATOR_PODS": '{"image": "a:1"}',
        "GOZEN_OPERATOR_PODS__REQUESTS__CPU": "2",
        "GOZEN_OPERATOR_PODS__VOLUME__emptyDir__medium": "Memory",
        "gozen_operator_look_s": "3",
        "GOZEN_ARCHIVE": "elsewhere",
        "GOZEN_OPERATOR": "not one of its settings",
    }.items():
        monkeypatch.setenv(name, value)
    found = load_operator_settings()
    assert (found.pods.image, found.look_s) == ("a:1", 3.0)
    assert unknown_variables(["GOZEN_OPERATOR_PODS__SECRET__X", "PATH"]) == ["GOZEN_OPERATOR_PODS__SECRET__X"]


def test_a_list_that_is_not_json_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOZEN_OPERATOR_NAMESPACES", "night")
    with pytest.raises(BadRequest, match=r"NAMESPACES.*JSON"):
        load_operator_settings()


def test_the_process_ends_with_the_code_of_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOZEN_OPERATOR_RETRYS", "1")
    monkeypatch.setattr(sys, "argv", ["gozen-operator"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == ExitCode.BAD_REQUEST
    assert "GOZEN_OPERATOR_RETRYS is not a setting: write GOZEN_OPERATOR_RETRIES" in capsys.readouterr().err
