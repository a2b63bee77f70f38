"""The settings of the hub: what a site may write, and what is refused with the name of the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from gozen.errors import BadRequest
from gozen_hub.hub_settings import read_hub_settings

TEST_LOGIN = "login: {method: test, test: {users: [hoshi], password_file: /etc/password}}\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "hub.yaml"
    file.write_text(text)
    return file


def test_a_file_with_a_login_is_enough(tmp_path: Path) -> None:
    found = read_hub_settings(written(tmp_path, TEST_LOGIN))
    assert (found.where, found.user_hosts, found.lab.home.when_user_is_deleted) == ("cluster", True, "keep")
    assert found.login.test is not None
    assert found.login.test.users == {"hoshi"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("public_url: http://a\n", "login: Field required"),
        ("login: {method: openid}\n", "login: Value error, the log-in method 'openid' needs the settings login.openid"),
        (TEST_LOGIN + "idle: {lab_s: -1}\n", "idle.lab_s: Input should be greater than or equal to 0"),
        (TEST_LOGIN + "lab: {profiles: []}\n", "lab.profiles: Tuple should have at least 1 item"),
        (TEST_LOGIN + "lab: {profiles: [{title: a, memory: 4 GB}]}\n", "lab.profiles.0.memory: String should match"),
        (TEST_LOGIN + "namespaces: {prefix: Kube_}\n", "namespaces.prefix: String should match"),
        (TEST_LOGIN + "public_url: hub.example.org\n", "public_url: String should match"),
        (TEST_LOGIN + "idel: {}\n", "idel: Extra inputs are not permitted"),
        (TEST_LOGIN + "---\n" + TEST_LOGIN, "this file has 2"),
        ("", "this file has 0"),
        (TEST_LOGIN + "public_url: [", "line 2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadRequest, match=r"hub\.yaml") as refusal:
        read_hub_settings(written(tmp_path, text))
    assert message in str(refusal.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no\.yaml: the settings of the hub cannot be read"):
        read_hub_settings(tmp_path / "no.yaml")
