"""The rights of labs' credentials on a real Ceph: short-lived ones by STS, and static keys with the bucket policy.

Covered: what each level may and may not read and list; no writes; no roles of others; expiry; a running process that
continues to read with renewed keys, by Gozen, s3fs, DuckDB and LSDB; the release of a table whose rows are withheld.
Not covered: the Secret in Kubernetes (tests/cluster/test_user_credentials), the decisions (unit tests).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import duckdb
import lsdb
import pytest
import s3fs
from botocore.exceptions import ClientError
from botocore.session import Session
from upath import UPath

from gozen.archive import keys
from gozen.archive.access_levels import LEVELS, Level, Members, session_policy
from gozen.archive.bucket_policy import statements
from gozen.archive.bucket_rules import set_policy
from gozen.archive.keys import Processing
from gozen.archive.stores.s3_access import Keys
from gozen.archive.stores.s3_store import S3Store
from gozen.catalog.format import layout
from gozen.catalog.maintain.release import read_release, release
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import GozenError, MissingObject, StorageUnavailable
from gozen_hub.credentials.credentials_metrics import CredentialMetrics
from gozen_hub.credentials.due import UserNamespace
from gozen_hub.credentials.key_sources import KeySource, key_source
from gozen_hub.credentials.renewal import Renewal
from gozen_hub.credentials.user_secret import Issued, secret_files
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import lab_environment

from ..catalog_samples import object_schema, objects_of
from .ceph_server import CephServer
from .lives import until
from .s3_server import keeping

pytestmark = pytest.mark.xdist_group("ceph")
ONE = Processing("20260115", "00000003")
SAMPLES = {
    "raw": keys.raw("20260115", "00000003", "TMQ1"),
    "record": "raw/20260115/00000003/exposure.json",
    "cube": keys.cube(ONE, "TMQ1"),
    "master": keys.master("dark", "20260115", "00000001", "111"),
    "stack": keys.stack(ONE, "TMQ1"),
    "neo": keys.neo(ONE, "TMQ1"),
    "commit": keys.commit(ONE, "111"),
    "log": keys.log_table("exposures", "20260115"),
}
"""An object of each kind beside the tables, by its name in the table of rights."""
SHORT_S = 10
LEVEL_OF: dict[str, Level] = {"ada": "members", "eve": "others"}


@dataclass
class Survey:
    """An archive with a released table whose rows have gone on since, and users of both levels."""

    ceph: CephServer
    store: S3Store
    objects: dict[str, str]
    roles: dict[str, str]
    broker: tuple[str, str]

    def settings(self, lifetime_s: int = 3600, **roles: str) -> HubSettings:
        """Return the settings of the hub."""
        login = {"method": "test", "test": {"users": ["ada"], "password_file": "/p"}}
        environment = {"GOZEN_STORAGE__ENDPOINT_URL": self.ceph.endpoint, "AWS_REGION": "us-east-1"}
        credentials: dict[str, Any] = {"method": "sts", "roles": self.roles | roles}
        found = HubSettings.model_validate(
            {
                "login": login,
                "access": {"users": ["ada"]},
                "archive": {"url": self.store.url, "environment": environment},
                "credentials": credentials,
            }
        )
        short = found.credentials.model_copy(update={"lifetime_s": lifetime_s})  # the settings allow a minute and more
        return found.model_copy(update={"credentials": short})

    def source(self, lifetime_s: int = 3600, **roles: str) -> KeySource:
        """Return the service's source of keys, with the account of the service."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", self.broker[0])
            patch.setenv("AWS_SECRET_ACCESS_KEY", self.broker[1])
            return key_source(self.settings(lifetime_s, **roles))

    def session(self, user: str, **roles: str) -> Keys:
        """Return the credentials that the service makes for a user."""
        return self.source(**roles).issue(UserNamespace(f"gozen-user-{user}", user, user), LEVEL_OF[user]).keys

    def sts(self, key: str, secret: str, token: str | None = None) -> Any:
        """Return a client of STS."""
        return Session().create_client(
            "sts",
            "us-east-1",
            endpoint_url=self.ceph.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )

    def client(self, keys: Keys) -> Any:
        """Return a client of botocore's with credentials."""
        return Session().create_client(
            "s3",
            "us-east-1",
            endpoint_url=self.ceph.endpoint,
            aws_access_key_id=keys.key,
            aws_secret_access_key=keys.secret,
            aws_session_token=keys.token,
        )

    def full(self, key: str) -> dict[str, str]:
        return {"Bucket": self.store.bucket, "Key": f"{self.store.prefix}{key}"}

    def readable(self, keys: Keys) -> set[str]:
        """Return the names of the objects that credentials may read."""
        client = self.client(keys)
        return {name for name, key in self.objects.items() if not refused(client.get_object, **self.full(key))}


def refused(call: Callable[..., Any], **words: Any) -> bool:
    """Whether a request is refused for want of rights."""
    try:
        call(**words)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return True
    return False


def trust_policy() -> str:
    """Return the trust policy that the page gives."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "lab-credentials.md"
    (found,) = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return json.dumps(json.loads(found))


@pytest.fixture(scope="module")
def survey(ceph: CephServer) -> Survey:
    """Return the archive; its objects were put by the account of the pipeline, as in a real one."""
    store = keeping(ceph.store(f"s3://{ceph.bucket('lab-credentials')}/deep/archive"))
    arn = "arn:aws:iam:::user/{}".format
    static = {"member": [arn("static-members")], "other": [arn("static-others")]}
    roles: Any = {"owner": [arn("owner")], "pipeline": [arn("maker")], **static}
    set_policy(store, statements(store.bucket, store.prefix, roles))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ceph.user("maker"), strict=True):
            patch.setenv(name, value)
        maker = keeping(ceph.store(store.url))
    for name, key in SAMPLES.items():
        (store if name in ("raw",) else maker).write(key, name.encode())
    write_table(maker, "stars", object_schema(), [objects_of(300, size=0.3)], TableOptions(60, 30.0))
    before = set(store.list("catalogs/stars"))
    version = release(store, "dr1", {"objects": "stars"}).tables["objects"]
    rows = [key for key in store.list("catalogs/stars") if key.endswith(".parquet") and "/dataset/Norder" in key]
    objects = SAMPLES | {
        "manifest": layout.manifest("stars", 1),
        "rows": next(key for key in rows if key in before and "arcs" not in key),
        "margin": next(key for key in rows if key in before and "arcs" in key),
        "release": keys.release("dr1"),
        "manifest of the release": f"{keys.catalog('stars')}/{layout.release('dr1')}",
        "rows of the release": version.key_of_file(version.files[0].path),
        "margin of the release": next(key for key in rows if f"/{version.margin}/" in key),
    }
    broker = ceph.user("gozen-hub")
    for user in ("gozen-hub", "static-members", "static-others"):
        ceph.user(user)
        ceph.admin("user", "modify", f"--uid={user}", "--max-buckets=-1")
    made = {
        level: ceph.role(f"gozen-{level}", trust_policy(), session_policy(level, store.bucket, store.prefix))
        for level in LEVELS
    }
    return Survey(ceph, store, objects, made, broker)


OTHERS = {"release", "manifest of the release", "rows of the release", "margin of the release"}
MEMBERS = OTHERS | {"stack", "neo", "commit", "log", "manifest", "rows", "margin"}


@pytest.fixture(params=["sts", "static"])
def keys_of(survey: Survey, request: pytest.FixtureRequest) -> Callable[[str], Keys]:
    """Return the credentials of a user, in both ways."""

    def static(user: str) -> Keys:
        return Keys(*survey.ceph.user(f"static-{LEVEL_OF[user]}"))

    return survey.session if request.param == "sts" else static


@pytest.mark.parametrize(("user", "expected"), [("ada", MEMBERS), ("eve", OTHERS)])
def test_each_level_reads_this_and_nothing_else(
    survey: Survey, keys_of: Callable[[str], Keys], user: str, expected: set[str]
) -> None:
    assert survey.readable(keys_of(user)) == expected


@pytest.mark.parametrize("user", ["ada", "eve"])
def test_nobody_writes_deletes_or_changes_rights(survey: Survey, keys_of: Callable[[str], Keys], user: str) -> None:
    client, where = survey.client(keys_of(user)), survey.full(survey.objects["rows of the release"])
    bucket = {"Bucket": survey.store.bucket}
    for key in ("catalogs/stars/new", "raw/20260115/new.fits", "releases/dr2.json", "elsewhere"):
        assert refused(client.put_object, **survey.full(key), Body=b"")
    assert refused(client.put_object, **bucket, Key="outside-the-archive", Body=b"")
    assert refused(client.put_object, **where, Body=b"")
    assert refused(client.delete_object, **where)
    assert refused(client.create_multipart_upload, **where)
    assert refused(client.copy_object, **survey.full("catalogs/copy"), CopySource=where)
    assert refused(client.put_object_acl, **where, ACL="public-read")
    assert refused(client.put_object_tagging, **where, Tagging={"TagSet": []})
    assert refused(client.put_bucket_acl, **bucket, ACL="public-read-write")
    assert refused(client.put_bucket_policy, **bucket, Policy="{}")
    assert refused(client.delete_bucket, **bucket)
    assert refused(client.create_bucket, Bucket=f"of-{user}")
    assert survey.store.exists(survey.objects["rows of the release"])


def test_others_list_releases_alone_and_members_everything(survey: Survey, keys_of: Callable[[str], Keys]) -> None:
    ada, eve = survey.client(keys_of("ada")), survey.client(keys_of("eve"))
    released = survey.objects["rows of the release"].split("/dataset/")[0]

    def listing(client: Any, prefix: str) -> bool:
        return not refused(client.list_objects_v2, Bucket=survey.store.bucket, Prefix=f"{survey.store.prefix}{prefix}")

    for prefix in ("releases/", f"{released}/", f"{released}/dataset/Norder=0/"):
        assert listing(eve, prefix), prefix
        assert listing(ada, prefix), prefix
    for prefix in ("raw/", "catalogs/", "catalogs/stars/stars.g1/", "tables/", "stack/"):
        assert not listing(eve, prefix), prefix
    assert refused(eve.list_objects_v2, Bucket=survey.store.bucket)
    assert refused(eve.list_objects_v2, Bucket=survey.store.bucket, Delimiter="/")


def test_a_lab_opens_the_release_though_the_table_is_withheld(
    survey: Survey, keys_of: Callable[[str], Keys], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give = mounted(survey, tmp_path, monkeypatch)
    eve, ada = keys_of("eve"), keys_of("ada")
    give(Issued(eve, 60))
    store = survey.ceph.store(survey.store.url)
    found = read_release(store, "dr1").tables["objects"]
    assert len(Catalog(store, found).table()) == 300
    with pytest.raises(StorageUnavailable, match="do not have the permission"):
        store.read(survey.objects["rows"])
    with pytest.raises(StorageUnavailable, match="do not have the permission"):
        store.list("raw")
    give(Issued(ada, 60))
    with pytest.raises(MissingObject):
        store.read("catalogs/stars/nothing")


def mounted(survey: Survey, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Issued], None]:
    """Set the environment of a lab; return what puts credentials into its files, as the kubelet does."""
    environment = lab_environment(survey.settings()) | {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def give(issued: Issued) -> None:
        for name, text in secret_files(issued, str(folder)).items():
            fresh = folder / f"{name}.fresh"
            fresh.write_text(text)
            fresh.replace(folder / name)

    return give


class OneLab:
    """A cluster with the namespace of one user, whose Secret is mounted."""

    def __init__(self, user: str, give: Callable[[Issued], None]) -> None:
        self._namespace, self._give = UserNamespace(f"gozen-user-{user}", user, user), give
        self.given: list[Issued] = []

    def list(self) -> list[UserNamespace]:
        return [self._namespace]

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def give(self, namespace: UserNamespace, level: Level, issued: Issued) -> None:
        self.given.append(issued)
        self._give(issued)


def readers(survey: Survey, key: str, table: str) -> dict[str, Callable[[], int]]:
    """Return programs of a lab that are open already; each reads an object from the store whenever it is asked."""
    store, path = survey.ceph.store(survey.store.url), f"s3://{survey.store.bucket}/{survey.store.prefix}{key}"
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    database = duckdb.connect()
    database.register_filesystem(files)
    catalog = UPath(f"s3://{survey.store.bucket}/{survey.store.prefix}{table}")

    def rows() -> int:
        with dask.config.set(scheduler="synchronous"):
            return len(lsdb.open_catalog(catalog).compute())

    return {
        "gozen": lambda: len(store.read(key)),
        "gozen, by ranges": lambda: len(bytes(store.read_ranges(key, [(0, 4)])[0])),
        "s3fs": lambda: len(files.cat_file(path)),
        "duckdb over s3fs": lambda: int(database.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0][0]),
        "lsdb": rows,
    }


def test_a_running_lab_reads_on_with_renewed_credentials(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that were opened with the first credentials read after these have expired, and not without new ones."""
    source = survey.source(SHORT_S)
    lab = OneLab("eve", mounted(survey, tmp_path, monkeypatch))
    renewal = Renewal(lab, source, Members(users=frozenset({"ada"})), None, CredentialMetrics(60), 1)
    renewal.round()
    key = survey.objects["rows of the release"]
    reading = readers(survey, key, key.split("/dataset/")[0])
    expected = {name: read() for name, read in reading.items()}
    assert expected["lsdb"] == 300
    first = survey.client(lab.given[0].keys)

    def expired() -> bool:
        for name, read in reading.items():
            renewal.round()  # it renews at half of the life, and one read takes less than the other half
            assert read() == expected[name], name
        return refused(first.get_object, **survey.full(key))

    until(expired, lambda: "the first credentials do not expire")
    assert len(lab.given) > 1
    last = survey.client(lab.given[-1].keys)
    until(lambda: refused(last.get_object, **survey.full(key)), lambda: "the last credentials do not expire")
    assert [name for name, read in reading.items() if still_reads(read)] == []


def still_reads(read: Callable[[], int]) -> bool:
    """Whether a program of a lab gets something, where each has an error of its own for a refusal."""
    try:
        read()
    except (GozenError, OSError, duckdb.Error, RuntimeError):
        return False
    return True


def test_sessions_get_no_further_than_their_role(survey: Survey) -> None:
    """Credentials of one level make none of another; the service's own key reads nothing."""
    eve = survey.session("eve")
    for role in survey.roles.values():
        client = survey.sts(eve.key, eve.secret, eve.token)
        assert refused(client.assume_role, RoleArn=role, RoleSessionName="more")
    assert survey.readable(Keys(*survey.broker)) == set()
    stranger = survey.ceph.user("stranger")
    assert refused(survey.sts(*stranger).assume_role, RoleArn=survey.roles["members"], RoleSessionName="stranger")


def test_a_changed_token_is_refused(survey: Survey) -> None:
    ada, eve = survey.session("ada"), survey.session("eve")
    assert ada.token is not None
    for forged in (
        Keys(ada.key, ada.secret),
        Keys(ada.key, ada.secret, ada.token[:-4]),
        Keys(eve.key, eve.secret, ada.token),
        Keys(ada.key, "wrong", ada.token),
    ):
        assert survey.readable(forged) == set()


def test_one_role_for_both_levels_is_narrowed_by_the_policy_of_the_session(survey: Survey) -> None:
    both = survey.roles["members"]
    assert survey.readable(survey.session("eve", others=both)) == OTHERS
    assert survey.readable(survey.session("ada", others=both)) == MEMBERS
