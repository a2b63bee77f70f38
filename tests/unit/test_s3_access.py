"""Test the region and credentials of every S3 client, and when the fast client is used again after failures.

Covered: precedence of the sources of a region; credentials in the environment and in both of Amazon's files, created
later, changed and half-written; other spellings of s3://; the pause of a failed client. No request is sent here: see
services/test_s3_rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gozen.archive.stores import s3_environment
from gozen.archive.stores.open_store import open_store
from gozen.archive.stores.s3_environment import region_of
from gozen.archive.stores.s3_ranges import GIVE_UP, REST_S, Breaker
from gozen.archive.stores.s3_store import S3Store
from gozen.errors import BadRequest
from gozen.settings import StorageSettings

BOTH = {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine says of S3."""
    for name in (*s3_environment.VARIABLES, *BOTH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def store(**settings: object) -> S3Store:
    return S3Store("s3://sky/archive", StorageSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("setting", "environment", "configured", "region"),
    [
        ("us-west-2", BOTH, "ap-east-1", "us-west-2"),
        (None, BOTH, "ap-east-1", "eu-north-1"),
        ("", {**BOTH, "AWS_REGION": ""}, "ap-east-1", "eu-west-1"),
        (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "ap-east-1", "ap-east-1"),
        (None, {}, None, None),
    ],
)
def test_the_first_that_says_a_region_counts(
    setting: str | None, environment: dict[str, str], configured: str | None, region: str | None
) -> None:
    assert region_of(setting, environment, configured) == region


def test_every_client_is_told_the_region_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = [store().access().region]
    (tmp_path / "config").write_text("[default]\nregion = ap-east-1\n[profile other]\nregion = ap-south-1\n")
    found.append(store().access().region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found.append(store(endpoint_url="http://127.0.0.1:9").access().region)
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    found.append(store().access().region)
    found.append(store(region="us-west-2").access().region)
    assert found == ["us-east-1", "ap-east-1", "eu-west-1", "eu-north-1", "us-west-2"]


@pytest.mark.parametrize(
    ("settings", "host", "in_path"),
    [
        ({"region": "eu-north-1"}, "s3.eu-north-1.amazonaws.com", False),
        ({"region": "eu-north-1", "addressing": "path"}, "s3.eu-north-1.amazonaws.com", True),
        ({"endpoint_url": "http://127.0.0.1:9"}, "127.0.0.1:9", True),
        ({"endpoint_url": "http://s3.example.org:9", "addressing": "virtual"}, "s3.example.org:9", False),
    ],
)
def test_every_client_asks_the_host_that_botocore_asks(
    settings: dict[str, object], host: str, in_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    access = store(**settings).access()
    assert (access.host, access.in_path, access.tls) == (host, in_path, "127" not in host and "example" not in host)
    assert "secret" not in repr(access)


def in_environment(folder: Path, key: str, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ACCESS_KEY_ID", key)
    patch.setenv("AWS_SECRET_ACCESS_KEY", f"secret of {key}")


def in_file(name: str) -> Callable[[Path, str, pytest.MonkeyPatch], None]:
    def give(folder: Path, key: str, patch: pytest.MonkeyPatch) -> None:
        (folder / name).write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret of {key}\n")

    return give


@pytest.mark.parametrize(
    "give", [in_environment, in_file("credentials"), in_file("config")], ids=["environment", "credentials", "config"]
)
def test_keys_are_followed_and_those_that_come_later_are_found(
    give: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = store()
    with pytest.raises(BadRequest, match="set AWS_ACCESS_KEY_ID"):
        opened.access()
    for key in ("first", "the-second"):
        give(tmp_path, key, monkeypatch)
        keys = opened.access().keys
        assert (keys.key, keys.secret) == (key, f"secret of {key}")


def test_what_cannot_be_read_at_this_moment_changes_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, file = store(), tmp_path / "credentials"
    in_file("credentials")(tmp_path, "first", monkeypatch)
    assert opened.access().keys.key == "first"
    for said in ("[default]\naws_access_key_id = half", "no file of keys", ""):
        file.write_text(said)
        assert opened.access().keys.key == "first"
    file.unlink()
    assert opened.access().keys.key == "first"
    in_file("credentials")(tmp_path, "the-second", monkeypatch)
    assert opened.access().keys.key == "the-second"


def test_a_worker_takes_over_what_another_process_has() -> None:
    mine = {"AWS_ACCESS_KEY_ID": "new", "AWS_PROFILE": "observatory", "PATH": "/bin"}
    workers = {"AWS_ACCESS_KEY_ID": "old", "AWS_SESSION_TOKEN": "old", "PATH": "/usr/bin"}
    s3_environment.set_s3_variables(s3_environment.s3_variables(mine), workers)
    assert workers == {"AWS_ACCESS_KEY_ID": "new", "AWS_PROFILE": "observatory", "PATH": "/usr/bin"}


@pytest.mark.parametrize("spelling", ["s3://", "S3://", "s3a://", "s3n://"])
def test_no_spelling_leads_to_another_client(spelling: str) -> None:
    opened = open_store(f"{spelling}sky/archive")
    assert isinstance(opened, S3Store)
    assert opened.url == "s3://sky/archive"
    with pytest.raises(BadRequest, match="write s3://bucket/prefix"):
        open_store(f"simplecache::{spelling}sky/archive")


def test_a_client_that_fails_rests_for_a_minute_and_is_then_asked_once() -> None:
    now = [1000.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(GIVE_UP):
        assert breaker.lets_through()
        breaker.failed()
    now[0] += REST_S - 1
    assert not breaker.lets_through()
    now[0] += 1
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.failed()
    now[0] += REST_S
    assert breaker.lets_through()
    breaker.went_well()
    assert [breaker.lets_through() for _ in range(3)] == [True, True, True]


def test_only_failures_in_a_row_count() -> None:
    breaker = Breaker(lambda: 0.0)
    for _ in range(3 * GIVE_UP):
        breaker.failed()
        breaker.went_well()
    assert breaker.lets_through()
