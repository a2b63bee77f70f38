"""Test rounds of the service for labs' credentials, with a simulated cluster and source of credentials.

Covered: Secrets and their content; renewal at half of the lifetime; changed members, groups and keys; failures for one
user, for all, of the hub, of the API server; metrics and health. Not covered: a real API server (tests/cluster), a real
gateway (tests/services/test_lab_credentials).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import SharedCredentialProvider
from botocore.exceptions import ClientError
from botocore.session import Session
from fastapi.testclient import TestClient

from gozen.archive.access_levels import Level, Members, session_policy
from gozen.archive.stores.s3_access import Keys
from gozen.errors import BadRequest, ClusterUnavailable, StorageUnavailable
from gozen_hub.access_settings import RoleSettings
from gozen_hub.credentials.cluster import of_users
from gozen_hub.credentials.credentials_metrics import CredentialMetrics
from gozen_hub.credentials.due import UserNamespace
from gozen_hub.credentials.key_sources import AssumedRoles, StaticKeys, key_source
from gozen_hub.credentials.renewal import Renewal
from gozen_hub.credentials.user_groups import HubGroups
from gozen_hub.credentials.user_secret import Issued, credentials_text, read_credentials, secret_files, user_secret
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import CREDENTIALS, CREDENTIALS_SECRET, HUB_NOTE, pod_traits
from gozen_hub.namespaces.namespace_objects import OWNED, USER

ADA, EVE = UserNamespace("u-ada", "1", "ada"), UserNamespace("u-eve", "2", "eve")
LIFE_S = 100.0
NAMED = Members(users=frozenset({"ada"}))


@dataclass
class Users:
    """A cluster in which Secrets are kept in a dict."""

    there: list[UserNamespace] = field(default_factory=lambda: [ADA, EVE])
    written: list[tuple[str, Level, Keys]] = field(default_factory=list)
    refused: Set[str] = frozenset()
    silent: bool = False

    def list(self) -> list[UserNamespace]:
        if self.silent:
            raise ClusterUnavailable("no answer")
        return self.there

    def wait(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def give(self, namespace: UserNamespace, level: Level, issued: Issued) -> None:
        if namespace.user in self.refused:
            raise ClusterUnavailable("refused")
        self.written.append((namespace.user, level, issued.keys))

    def take(self) -> list[tuple[str, Level]]:
        """Return who got credentials since the last time."""
        found = [(user, level) for user, level, _ in self.written]
        self.written.clear()
        return found


@dataclass
class Source:
    """A source of keys that can fail."""

    asked: list[str] = field(default_factory=list)
    broken: Mapping[str, Exception] = field(default_factory=dict)
    mark: str = ""

    def marks(self) -> dict[Level, str]:
        return {"members": self.mark, "others": self.mark}

    def issue(self, namespace: UserNamespace, level: Level) -> Issued:
        self.asked.append(namespace.user)
        if namespace.user in self.broken:
            raise self.broken[namespace.user]
        return Issued(Keys(f"{namespace.user}-{len(self.asked)}", "secret", "token"), LIFE_S)


class Service:
    """The service with a clock that tests turn."""

    def __init__(self, rule: Members = NAMED, groups: Any = None, users: int = 0) -> None:
        self.now, self.cluster, self.source = 1000.0, Users(), Source()
        if users:
            self.cluster.there = [UserNamespace(f"u-{n:03}", str(n), f"{n:03}") for n in range(users)]
        self.metrics = CredentialMetrics(60, lambda: self.now)
        self.renewal = Renewal(self.cluster, self.source, rule, groups, self.metrics, 30, lambda: self.now)

    def after(self, seconds: float) -> list[tuple[str, Level]]:
        """Let time pass and a round go; return who got credentials."""
        self.now += seconds
        self.pause = self.renewal.round()
        return self.cluster.take()


def test_each_user_gets_credentials_of_the_users_level_and_new_ones_at_half_of_their_life() -> None:
    service = Service()
    assert service.after(0) == [("ada", "members"), ("eve", "others")]
    assert service.pause == 30
    assert service.after(LIFE_S / 2 - 1) == []
    assert service.pause == 1
    assert service.after(1) == [("ada", "members"), ("eve", "others")]
    service.cluster.there = [ADA, EVE, UserNamespace("u-new", "3", "new")]
    assert service.after(1) == [("new", "others")]


def test_users_keep_nothing_of_each_others_keys() -> None:
    service = Service()
    service.renewal.round()
    assert len({keys.key for _, _, keys in service.cluster.written}) == 2


def test_a_member_who_leaves_gets_the_keys_of_others_in_the_next_round() -> None:
    groups = {"ada": frozenset({"survey"})}
    service = Service(Members(groups=frozenset({"survey"})), lambda: groups)
    assert service.after(0) == [("ada", "members"), ("eve", "others")]
    groups = {"eve": frozenset({"survey"})}
    assert service.after(1) == [("ada", "others"), ("eve", "members")]


def test_while_the_hub_is_away_levels_stay() -> None:
    answers: list[dict[str, frozenset[str]] | Exception] = []

    def ask() -> dict[str, frozenset[str]]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    service = Service(Members(groups=frozenset({"survey"})), ask)
    answers += [ClusterUnavailable("away"), {"ada": frozenset({"survey"})}, ClusterUnavailable("away")]
    assert service.after(0) == []
    assert service.after(1) == [("ada", "members"), ("eve", "others")]
    assert service.after(LIFE_S) == [("ada", "members"), ("eve", "others")]


@pytest.mark.parametrize("error", [StorageUnavailable("STS is away"), KeyError("a fault of the program")])
def test_what_fails_for_one_user_goes_on_for_the_others(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    service.source.broken = {"ada": error}
    assert service.after(0) == [("eve", "others")]
    assert "u-ada: attempt 1 failed" in caplog.text
    assert 0 < service.pause < 1
    service.source.broken = {}
    assert service.after(service.pause) == [("ada", "members")]
    assert service.after(1) == []
    assert service.pause == 30


def test_the_right_to_write_may_come_a_moment_after_the_namespace() -> None:
    service = Service()
    service.cluster.refused = {"eve"}
    assert service.after(0) == [("ada", "members")]
    service.cluster.refused = frozenset()
    assert service.after(service.pause) == [("eve", "others")]


def test_while_everything_fails_a_round_ends_early_and_all_have_their_turn() -> None:
    service = Service(users=10)
    service.source.broken = dict.fromkeys((f"{n:03}" for n in range(10)), StorageUnavailable("away"))
    assert service.after(0) == []
    assert service.source.asked == ["000", "001", "002"]
    for _ in range(3):
        service.after(0.01)
    assert set(service.source.asked) == {f"{n:03}" for n in range(10)}
    service.source.broken = {}
    assert len(service.after(60)) == 10


def test_a_silent_api_server_changes_nothing() -> None:
    service = Service()
    service.after(0)
    service.cluster.silent = True
    with pytest.raises(ClusterUnavailable):
        service.after(1)
    service.cluster.silent = False
    assert service.after(1) == []


def test_a_deleted_namespace_is_forgotten() -> None:
    service = Service()
    service.after(0)
    service.cluster.there = [EVE]
    service.after(1)
    service.cluster.there = [ADA, EVE]
    assert service.after(1) == [("ada", "members")]


def test_a_rotated_static_key_reaches_all_at_once_and_a_missing_one_is_named(tmp_path: Path) -> None:
    source = StaticKeys(tmp_path)
    for level, key in (("members", "M1"), ("others", "O1")):
        (tmp_path / level).mkdir()
        (tmp_path / level / "credentials").write_text(credentials_text(Keys(key, f"{key}-secret")))
    service = Service()
    service.renewal = Renewal(service.cluster, source, NAMED, None, service.metrics, 30, lambda: service.now)
    service.renewal.round()
    assert [(user, keys.key) for user, _, keys in service.cluster.written] == [("ada", "M1"), ("eve", "O1")]
    service.cluster.written.clear()
    (tmp_path / "others" / "credentials").write_text(credentials_text(Keys("O2", "new")))
    assert service.after(1) == [("eve", "others")]
    (tmp_path / "members" / "credentials").unlink()
    with pytest.raises(BadRequest, match=r"members/credentials: the credentials for members cannot be read"):
        source.issue(ADA, "members")
    assert service.after(1) == []  # what was given stays


class Sts:
    """A client of STS that says what it was asked."""

    def __init__(self, expires: datetime) -> None:
        self.asked: dict[str, Any] = {}
        self._expires = expires

    def assume_role(self, **asked: Any) -> Any:
        self.asked = asked
        if "gone" in asked["RoleArn"]:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "AssumeRole")
        names = {"AccessKeyId": "k", "SecretAccessKey": "s", "SessionToken": "t"}
        return {"Credentials": {**names, "Expiration": self._expires}}


@pytest.mark.parametrize(("off_s", "expected"), [(50, 50), (500, 100), (-500, 100)])
def test_a_role_is_assumed_for_the_level_with_its_policy(off_s: float, expected: float) -> None:
    client = Sts(datetime.now(UTC) + timedelta(seconds=off_s))
    policies: dict[Level, str] = {level: session_policy(level, "sky", "") for level in ("members", "others")}  # type: ignore[misc]
    roles = RoleSettings(members="arn:aws:iam:::role/m", others="arn:aws:iam:::role/gone")
    source = AssumedRoles(client, roles, policies, 100)
    found = source.issue(UserNamespace("u-" + "a" * 61 + "z", "1", "ada"), "members")
    assert (found.keys, round(found.lifetime_s)) == (Keys("k", "s", "t"), expected)
    assert client.asked["Policy"] == policies["members"]
    assert (client.asked["RoleArn"], client.asked["DurationSeconds"]) == ("arn:aws:iam:::role/m", 100)
    with pytest.raises(StorageUnavailable, match=r"for the user eve with the role arn:aws:iam:::role/gone"):
        source.issue(EVE, "others")


def test_the_secret_has_a_file_that_aws_clients_read_where_labs_mount_it(tmp_path: Path) -> None:
    found = user_secret("u-ada", "members", Issued(Keys("key", "sec/ret+=", "to=ken"), 60))
    assert (found["metadata"]["name"], found["type"], set(found["data"])) == (
        CREDENTIALS_SECRET,
        "Opaque",
        {"credentials"},
    )
    text = base64.b64decode(found["data"]["credentials"]).decode()
    (tmp_path / "credentials").write_text(text)
    loaded = SharedCredentialProvider(str(tmp_path / "credentials")).load().get_frozen_credentials()
    assert tuple(loaded)[:3] == ("key", "sec/ret+=", "to=ken")
    assert read_credentials(text, "x") == Keys("key", "sec/ret+=", "to=ken")
    login = {"method": "test", "test": {"users": ["ada"], "password_file": "/p"}}
    environment = {"GOZEN_STORAGE__ENDPOINT_URL": "https://s3.sky:9000"}
    lab = pod_traits(
        HubSettings.model_validate({"login": login, "archive": {"url": "s3://sky", "environment": environment}})
    )
    assert lab["environment"]["AWS_SHARED_CREDENTIALS_FILE"] == f"{CREDENTIALS}/credentials"
    assert lab["environment"]["AWS_ENDPOINT_URL"] == "https://s3.sky:9000"


def test_short_lived_credentials_are_asked_for_again_by_clients_that_run(tmp_path: Path) -> None:
    """Botocore's own session: it has read the first ones, and signs with the second ones."""

    def give(key: str) -> None:
        issued = Issued(Keys(key, "secret", "token"), 60, datetime.now(UTC) + timedelta(seconds=60))
        for name, text in secret_files(issued, str(tmp_path)).items():
            (tmp_path / name).write_text(text)

    give("first")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        held = Session().get_credentials()
        assert tuple(held.get_frozen_credentials())[:3] == ("first", "secret", "token")
        give("second")
        assert held.get_frozen_credentials().access_key == "second"


@pytest.mark.parametrize(
    "text", ["", "[other]\naws_access_key_id = a\n", "[default]\naws_access_key_id = a\n", "nonsense"]
)
def test_a_file_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="keys/members is not a file of credentials"):
        read_credentials(text, "keys/members")


def test_only_the_default_profile_of_a_static_key_is_given_away() -> None:
    text = "[default]\naws_access_key_id = a\naws_secret_access_key = b\nregion = x\n[owner]\naws_access_key_id = c\n"
    assert "c" not in credentials_text(read_credentials(text, "x")).replace("access", "").replace("secret", "")


def test_only_namespaces_of_users_count() -> None:
    def one(name: str, **meta: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "uid": name, "labels": OWNED, "annotations": {USER: "ada", HUB_NOTE: "sky/hub"}}
            | meta
        }

    items = [
        one("u-ada"),
        one("u-gone", deletionTimestamp="2026-01-01T00:00:00Z"),
        one("kube-system"),
        one("u-nobody", annotations=None),
        one("u-b-ada", annotations={USER: "ada", HUB_NOTE: "north/hub"}),
    ]
    assert of_users(items, "u", "sky/hub") == [UserNamespace("u-ada", "u-ada", "ada")]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"archive": {"url": "/data"}, "credentials": {"method": "static"}}, "is not in a bucket"),
        ({"archive": {"url": "s3://sky"}}, "credentials.method is 'none'"),
    ],
)
def test_settings_without_credentials_are_refused(more: dict[str, Any], said: str) -> None:
    login = {"method": "test", "test": {"users": ["ada"], "password_file": "/p"}}
    with pytest.raises(BadRequest, match=said):
        key_source(HubSettings.model_validate({"login": login, **more}), os.environ)


def test_metrics_count_users_renewals_and_failures_and_health_wants_rounds() -> None:
    service = Service()
    service.source.broken = {"eve": StorageUnavailable("away")}
    service.after(0)
    with TestClient(service.metrics.app()) as http:
        said = http.get("/metrics").text
        assert 'gozen_credentials_users{level="members"} 1.0' in said
        assert 'gozen_credentials_users{level="others"} 0.0' in said
        assert 'gozen_credentials_renewals_total{level="members"} 1.0' in said
        assert "gozen_credentials_failures_total 1.0" in said
        assert "gozen_credentials_overdue_seconds 0.0" in said
        assert http.get("/healthz").status_code == 200
        service.now += 61
        assert http.get("/healthz").status_code == 503
        service.source.broken = dict.fromkeys(("ada", "eve"), StorageUnavailable("away"))
        service.after(0)
        assert "gozen_credentials_overdue_seconds 61.0" in http.get("/metrics").text
        assert http.get("/healthz").status_code == 200


def test_a_hub_that_is_away_is_named() -> None:
    with pytest.raises(ClusterUnavailable, match=r"http://127\.0\.0\.1:9/hub/api/users does not report"):
        HubGroups("http://127.0.0.1:9", "token").read()


def test_a_fault_in_a_round_does_not_end_the_rounds() -> None:
    class EndedError(BaseException):
        pass

    class Faulty:
        lists = 0

        def list(self) -> Any:
            self.lists += 1
            raise TypeError("'NoneType' object is not iterable")

        def wait(self, seconds: float) -> None:
            assert seconds == 1.0
            if self.lists == 3:
                raise EndedError

    renewal = Renewal(cluster := Faulty(), None, None, None, None, 60)  # type: ignore[arg-type]
    with pytest.raises(EndedError):
        renewal.run()
    assert cluster.lists == 3
