"""Test the settings of the hub: valid values, and errors that name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from gozen.errors import BadRequest
from gozen_hub.hub_settings import read_hub_settings

TEST_LOGIN = "login: {method: test, test: {users: [hoshi], password_file: /etc/password}}\n"
VOLUME = TEST_LOGIN + (
    "archive: {volume: {source: {nfs: {server: files, path: /sky}}, mount_options: [nfsvers=4.2]}}\n"
    "access: {everyone: true}\n"
)
OPENID = (
    "login: {method: openid, openid: {client_id: a, client_secret_file: /a, authorize_url: a, token_url: a, "
    "userdata_url: a}}\n"
)


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
        ("public_url: http://a\n", "login: it is missing"),
        ("login: {method: openid}\n", "login: the log-in method 'openid' needs the settings login.openid"),
        (TEST_LOGIN + "idle: {lab_s: -1}\n", "idle.lab_s: it should be greater than or equal to 0"),
        (TEST_LOGIN + "lab: {profiles: []}\n", "lab.profiles: it should have at least 1 item, not 0"),
        (TEST_LOGIN + "lab: {profiles: [{title: a, memory: 4 GB}]}\n", "lab.profiles.0.memory: it should match"),
        (TEST_LOGIN + "lab: {home: {size: 10 GB}}\n", "lab.home.size: it should match"),
        (TEST_LOGIN + "workers: {memory: 4000000K}\n", "workers.memory: it should match"),  # not for Kubernetes
        (TEST_LOGIN + "namespaces: {quota: {memory: 32GiB}}\n", "namespaces.quota.memory: it should match"),
        (TEST_LOGIN + "workers: {scratch: 8GiB}\n", "workers.scratch: it should match"),
        (
            TEST_LOGIN + "lab: {profiles: [{title: a, memory: 256M}]}\n",
            "memory_guarantee (512M) is more than memory (256M)",
        ),
        (TEST_LOGIN + "workers: {memory: 256M}\n", "memory_guarantee (512M) is more than memory (256M)"),
        (TEST_LOGIN + "namespaces: {prefix: Kube_}\n", "namespaces.prefix: it should match"),
        (TEST_LOGIN + "public_url: hub.example.org\n", "public_url: it should match"),
        (TEST_LOGIN + "public_url: http://hub:99999\n", "public_url: Port out of range"),
        (TEST_LOGIN + "public_url: http://hub:a\n", "public_url: Port could not be cast"),
        (TEST_LOGIN + "public_url: http://127.0.0.1:8000\n", "give public_url a host name, or set user_hosts: false"),
        (TEST_LOGIN + "public_url: 'http://[::1]:8000'\n", "give public_url a host name, or set user_hosts: false"),
        (TEST_LOGIN + "idle: {lab_s: 60}\n", "lab_s = 60 is too short for check_s = 300: give at least 600"),
        (TEST_LOGIN.replace("hoshi", "a/b"), "'a/b' is not a valid user name"),
        (TEST_LOGIN.replace("hoshi", "''"), "'' is not a valid user name"),
        (TEST_LOGIN.replace("}}", "}, admins: [hoshi]}"), "admins log in with a separate password"),
        (OPENID + "where: machine\n", "no accounts for users of an OpenID provider"),
        ("login: {method: system}\n", "login.method system is only for where: machine"),
        (TEST_LOGIN + "where: machine\narchive: {claim: a}\n", "on one machine, give archive.url instead"),
        (VOLUME + "where: machine\n", "on one machine, give archive.url instead"),
        (VOLUME.replace("access: {everyone: true}", ""), "read the whole archive, so every user must be a member"),
        (
            VOLUME.replace("nfs", "cephfs"),
            "archive.volume.source: give exactly one of nfs, csi, hostPath; given: cephfs",
        ),
        (VOLUME.replace("{nfs: {server: files, path: /sky}}", "{}"), "; given: none"),
        (VOLUME.replace("nfs: {", "hostPath: {path: /sky}, nfs: {"), "; given: hostPath, nfs"),
        (VOLUME.replace("nfs: {", "hostPath: {"), "a folder of the nodes (hostPath) has no mount_options"),
        (VOLUME.replace("{volume:", "{claim: sky, volume:"), "one that Gozen makes: give one"),
        (TEST_LOGIN + "namespaces: {prefix: observatory-users}\n", "namespaces.prefix: it should match"),
        (TEST_LOGIN + "idel: {}\n", "idel: this name is not known"),
        (TEST_LOGIN + "---\n" + TEST_LOGIN, "but this file has 2"),
        ("", "but this file has 0"),
        (TEST_LOGIN + "public_url: [", "line 2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadRequest, match=r"hub\.yaml") as refusal:
        read_hub_settings(written(tmp_path, text))
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://Sky.Example.org:443/", "https://sky.example.org"),
        ("http://sky.example.org:80", "http://sky.example.org"),
        ("https://sky.example.org:8443/", "https://sky.example.org:8443"),
    ],
)
def test_the_public_address_is_as_browsers_write_it(tmp_path: Path, url: str, wanted: str) -> None:
    assert read_hub_settings(written(tmp_path, f"{TEST_LOGIN}public_url: {url}\n")).public_url == wanted


def test_an_address_without_hosts_of_users_may_be_a_number(tmp_path: Path) -> None:
    found = read_hub_settings(written(tmp_path, TEST_LOGIN + "public_url: http://[::1]:8000\nuser_hosts: false\n"))
    assert found.public_url == "http://[::1]:8000"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no\.yaml: the settings of the hub cannot be read"):
        read_hub_settings(tmp_path / "no.yaml")
