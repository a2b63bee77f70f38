"""Rules of a bucket on a real Ceph: life cycles that expire objects, policies, revoked keys.

Covered: only reduced files that are not retained expire, by the rule that `gozen archive lifecycle` sets, also after
kills; what each role may do; the error of a denied request; rule and tags on a server without life cycles. Not covered:
`gozen archive expire` (unit tests), keys that change while a night runs (test_rotated_keys).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.archive_samples import commit, processing_of

import gozen
from gozen.archive import exp_ids, keys
from gozen.archive.bucket_rules import life_cycle, rules_for, set_life_cycle
from gozen.archive.commit import SensorCommit, put_product, write_commit
from gozen.archive.exp_ids import Opening, Purpose
from gozen.archive.raw import reduced_tags
from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.raw.reduced_tags import Tagged, mark_reduced, refresh
from gozen.archive.raw.retain import release, retain
from gozen.archive.stores.s3_store import S3Store
from gozen.errors import BadRequest, GozenError, MissingObject
from gozen.resources.exposure import Exposure
from gozen.settings import Settings
from gozen_operator.process.read_sources import ask_archive

from .ceph_server import DAY_S, CephServer
from .conftest import in_environment
from .lives import until
from .s3_server import S3Server, keeping

pytestmark = pytest.mark.xdist_group("ceph")
Command = Callable[..., object]


@pytest.fixture
def archive(ceph: CephServer, request: pytest.FixtureRequest) -> S3Store:
    """Return an archive in a bucket of its own, as its owner sees it."""
    name = request.node.name.replace("_", "-").split("[")[0][:60].rstrip("-").lower()
    return ceph.store(f"s3://{ceph.bucket(name)}/deep/archive")


def take(store: S3Store, *commits: SensorCommit) -> None:
    """Put raw files of sensors, and the record of their exposures, as a camera does."""
    for one in commits:
        key = keys.raw(one.night, one.exposure, one.frame_id)
        store.write(key, b"raw")
        record_exposure(store, RawExposure(one.night, one.exposure, "x", "OBJECT", 60314.5, {one.sensor: (key,)}))


def reduce(store: S3Store, *commits: SensorCommit) -> None:
    """Commit sensors, as the reduction does."""
    for one in commits:
        write_commit(store, processing_of(one), one)
        mark_reduced(store, one, [keys.raw(one.night, one.exposure, one.frame_id)])


def tagged(store: S3Store) -> set[str]:
    """Return the raw files that bear the tag."""
    found = {}
    for key in store.list("raw"):
        found[key] = store.client.get_object_tagging(Bucket=store.bucket, Key=store.prefix + key)["TagSet"]
    assert all(tags in ([], [{"Key": "reduced", "Value": "true"}]) for tags in found.values())
    return {key.rsplit("/", 1)[1].removesuffix(".fits") for key, tags in found.items() if tags}


def left(store: S3Store) -> set[str]:
    return {key.rsplit("/", 1)[1].removesuffix(".fits") for key in store.list("raw") if key.endswith(".fits")}


DONE, WAITING, KEPT, KEPT_BY_RUN = (commit(sensor=sensor) for sensor in ("111", "112", "113", "114"))
OTHER = commit(exposure="e2")


def test_only_what_is_reduced_and_not_retained_expires(archive: S3Store) -> None:
    take(archive, DONE, WAITING, KEPT_BY_RUN, OTHER)
    reduce(archive, DONE, KEPT_BY_RUN.model_copy(update={"retain_raw": True}))
    retain(archive, OTHER.night, OTHER.exposure)
    reduce(archive, OTHER)
    stack = put_product(archive, keys.stack(processing_of(DONE), DONE.frame_id), b"stack")
    archive.set_tags(stack.key, reduced_tags.REDUCED)  # the rule is for raw data alone, whatever else bears the tag
    archive.client.put_object(Bucket=archive.bucket, Key="raw/elsewhere.fits", Body=b"", Tagging="reduced=true")
    assert tagged(archive) == {DONE.frame_id}
    before = set(archive.list(""))
    set_life_cycle(archive, 1)
    until(lambda: DONE.frame_id not in left(archive), lambda: f"nothing expired: {life_cycle(archive)}")
    # Another file is tagged and expires: the life cycle has gone over the bucket again, and all the rest still stands.
    again = commit(sensor="115")
    take(archive, again)
    reduce(archive, again)
    until(lambda: again.frame_id not in left(archive), lambda: "the life cycle ran once only", 30 * DAY_S)
    assert set(archive.list("")) - {keys.commit(processing_of(again), "115")} == before - {
        keys.raw(DONE.night, DONE.exposure, DONE.frame_id)
    }
    assert archive.client.get_object(Bucket=archive.bucket, Key="raw/elsewhere.fits")
    release(archive, OTHER.night, OTHER.exposure)
    reduce(archive, WAITING)
    until(lambda: left(archive) == {KEPT_BY_RUN.frame_id}, lambda: f"{left(archive)} are left")


def test_a_reduction_that_was_killed_before_the_tag_is_made_up_for(archive: S3Store) -> None:
    take(archive, DONE, WAITING, KEPT)
    for one in (DONE, KEPT):
        write_commit(archive, processing_of(one), one)  # and killed
    assert tagged(archive) == set()
    mark_reduced(archive, DONE, [keys.raw(DONE.night, DONE.exposure, DONE.frame_id)])  # run again
    assert tagged(archive) == {DONE.frame_id}
    assert refresh(archive) == Tagged(reduced=2, other=1)
    assert tagged(archive) == {DONE.frame_id, KEPT.frame_id}
    retain(archive, DONE.night, DONE.exposure)
    assert tagged(archive) == set()
    mark_reduced(archive, DONE, [keys.raw(DONE.night, DONE.exposure, DONE.frame_id)])
    assert refresh(archive) == Tagged(reduced=0, other=3)
    assert tagged(archive) == set()
    release(archive, DONE.night, DONE.exposure)
    assert tagged(archive) == {DONE.frame_id, KEPT.frame_id}
    better = DONE.model_copy(update={"run": "r2", "retain_raw": True})
    write_commit(archive, processing_of(better), better)
    mark_reduced(archive, DONE, [keys.raw(DONE.night, DONE.exposure, DONE.frame_id)])  # a later run retains it
    assert tagged(archive) == {KEPT.frame_id}
    archive.delete(keys.raw(KEPT.night, KEPT.exposure, KEPT.frame_id))
    mark_reduced(archive, KEPT, [keys.raw(KEPT.night, KEPT.exposure, KEPT.frame_id)])  # it has expired meanwhile


class RetainedMeanwhile(S3Store):
    """A store through which somebody retains an exposure just before the tag is set."""

    def set_tags(self, key: str, tags: object) -> None:
        """Retain, then do it."""
        if tags:
            retain(S3Store(self.url, self._settings), DONE.night, DONE.exposure)
        super().set_tags(key, tags)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["mark", "refresh"])
def test_who_retains_while_the_tag_is_set_wins(ceph: CephServer, how: str) -> None:
    store = ceph.store(f"s3://{ceph.bucket(f'meanwhile-{how}')}")
    take(store, DONE)
    write_commit(store, processing_of(DONE), DONE)
    racing = RetainedMeanwhile(store.url, store._settings)
    if how == "mark":
        mark_reduced(racing, DONE, [keys.raw(DONE.night, DONE.exposure, DONE.frame_id)])
    else:
        refresh(racing)
    assert tagged(store) == set()


def test_rules_of_others_stay_and_ours_are_set_once(archive: S3Store) -> None:
    other = {"ID": "of others", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}
    archive.client.put_bucket_lifecycle_configuration(Bucket=archive.bucket, LifecycleConfiguration={"Rules": [other]})
    set_life_cycle(archive, 7)
    stands = set_life_cycle(archive, 9)
    assert sorted(rule["ID"] for rule in stands) == [
        "gozen raw deep/archive",
        "gozen uploads deep/archive",
        "of others",
    ]
    [days] = [rule["Expiration"]["Days"] for rule in stands if rule["ID"].startswith("gozen raw")]
    assert days == 9


def test_the_command_shows_and_sets_it(archive: S3Store, command: Command, tmp_path: Path) -> None:
    words = ("archive", "lifecycle", "--archive", archive.url)
    shown = json.loads(command(*words, cwd=tmp_path).stdout)
    assert shown == {"Rules": rules_for("deep/archive/", 9)}  # keep_raw_days is 7
    assert life_cycle(archive) == []
    command(*words, "--days", "3", "--set", cwd=tmp_path)
    assert {rule["ID"] for rule in life_cycle(archive)} == {rule["ID"] for rule in shown["Rules"]}
    take(archive, DONE, WAITING)
    write_commit(archive, processing_of(DONE), DONE)
    said = command("archive", "tag", DONE.night, "--archive", archive.url, cwd=tmp_path).stdout
    assert "1 raw files may expire, 1 not" in said


def test_a_server_without_life_cycles_says_so(s3_process: S3Server, command: Command, tmp_path: Path) -> None:
    with in_environment(s3_process) as server:
        store = server.store(f"s3://{server.bucket('without-life-cycles')}/archive")
        with pytest.raises(BadRequest, match="gozen archive expire"):
            set_life_cycle(store, 7)
        done = command("archive", "lifecycle", "--set", "--archive", store.url, cwd=tmp_path, check=False)
        assert done.returncode == 64
        assert "gozen: BadRequest: the server of" in done.stderr
        assert "Traceback" not in done.stderr
        take(store, DONE)  # tags are there all the same, for the day when the bucket moves
        reduce(store, DONE)
        assert tagged(store) == {DONE.frame_id}
    for verb in ("lifecycle", "tag", "policy"):
        done = command("archive", verb, "--archive", "folder", cwd=tmp_path, check=False)
        assert done.returncode == 64
        assert "gozen archive expire" in " ".join(done.stderr.split())


ROLES = ("operator", "observer", "pipeline", "reader", "nobody")
READ, WRITE, DELETE, LIST, TAG, RULE, POLICY = "read", "write", "delete", "list", "tag", "rule", "policy"
ALL = ("record", "note", "raw", "commit", "stack", "catalog", "number", "nothing")
MAY = {
    "operator": {(READ, "record"), (READ, "note"), (READ, "commit"), (READ, "nothing"), LIST},
    "observer": {*((READ, what) for what in ("record", "note", "raw", "catalog", "number", "nothing")), LIST,
                 *((WRITE, what) for what in ("record", "note", "raw", "number"))},
    "pipeline": {*((READ, what) for what in ALL), LIST,
                 *((WRITE, what) for what in ("record", "note", "commit", "stack", "catalog")), TAG},
    "reader": {*((READ, what) for what in ALL), LIST},
    "nobody": set(),
}  # fmt: skip
KEYS = {
    "record": "raw/20240105/e1/exposure.json",
    "note": "raw/20240105/e1/record/0123456789abcdef.json",
    "raw": "raw/20240105/e1/TMQe1111.fits",
    "commit": "exposures/20240105/e1/r1/111.json",
    "stack": "stack/20240105/e1/r1/TMQe1111.fits.fz",
    "catalog": "catalogs/lightcurves/manifest/000000001.json",
    "number": "expid/00000001.json",
}


@pytest.fixture(scope="module")
def users(ceph: CephServer) -> dict[str, S3Store]:
    """Return an archive as each role sees it, under the policy that `gozen archive policy` sets."""
    owner = keeping(ceph.store(f"s3://{ceph.bucket('policies')}/deep"))
    for key in KEYS.values():
        owner.write(key, b"{}")
    ceph.store("s3://policies").write("private/of-others", b"secret")
    seen = {"owner": owner}
    with pytest.MonkeyPatch.context() as patch:
        for role in ROLES:
            key, secret = ceph.user(role)
            patch.setenv("AWS_ACCESS_KEY_ID", key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
            seen[role] = keeping(ceph.store(owner.url))
    return seen


@pytest.fixture(scope="module")
def allowed(
    users: dict[str, S3Store], command: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, S3Store]:
    names = [word for role in ("owner", *ROLES[:-1]) for word in (f"--{role}", f"arn:aws:iam:::user/{role}")]
    folder = tmp_path_factory.mktemp("policy")
    shown = command("archive", "policy", *names, "--set", "--archive", users["owner"].url, cwd=folder).stdout
    assert not any("*" in action for one in json.loads(shown)["Statement"] for action in one.get("Action", ()))
    return users


def may(do: Callable[[], object]) -> bool:
    """Tell whether something is allowed; a refusal has its name and says what to do."""
    said = ""
    try:
        do()
    except MissingObject:
        return True
    except GozenError as error:
        said = f"{error.name}: {error}"
    assert not said or re.match(
        r"StorageUnavailable: .*AccessDenied.*these credentials do not have the permission, are wrong", said
    )
    return not said


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_it_needs_and_nothing_else(allowed: dict[str, S3Store], role: str) -> None:
    store, owner = allowed[role], allowed["owner"]
    tried: dict[object, bool] = {}
    for what, key in {**KEYS, "nothing": "exposures/20240105/e9/r1/111.json"}.items():
        tried[READ, what] = may(lambda key=key: store.read(key))
    tried[TAG] = may(lambda: store.set_tags(KEYS["raw"], {}))
    tried[TAG, "stack"] = may(lambda: store.set_tags(KEYS["stack"], {}))
    for what, key in KEYS.items():
        tried[WRITE, what] = may(lambda key=key: store.write(key, b"{}"))
        tried[DELETE, what] = may(lambda key=key: store.delete(key))
    tried[LIST] = may(lambda: store.list("exposures"))
    tried[RULE] = may(lambda: set_life_cycle(store, 1))
    assert {what for what, allowed_ in tried.items() if allowed_} == MAY[role]
    for ask in (
        lambda: store.client.get_object(Bucket="policies", Key="private/of-others"),
        lambda: store.client.put_object(Bucket="policies", Key="private/of-others", Body=b""),
        lambda: store.client.put_bucket_policy(Bucket="policies", Policy='{"Version":"2012-10-17","Statement":[]}'),
        lambda: store.client.delete_bucket_policy(Bucket="policies"),
        lambda: store.client.delete_bucket_lifecycle(Bucket="policies"),
        lambda: store.client.put_bucket_acl(Bucket="policies", ACL="public-read-write"),
        *(
            lambda key=key: store.client.put_object_acl(Bucket="policies", Key=f"deep/{key}", ACL="public-read")
            for key in KEYS.values()  # those that this role has put among them
        ),
        lambda: store.client.delete_bucket(Bucket="policies"),
    ):
        with pytest.raises(store.client.exceptions.ClientError, match="AccessDenied"):
            ask()
    if role == "observer":  # nor may it tag what it has put itself
        assert not may(lambda: store.set_tags(KEYS["raw"], {}))
    assert {owner.read(key) for key in KEYS.values()} == {b"{}"}


def test_what_each_role_does_works(allowed: dict[str, S3Store]) -> None:
    purpose = Purpose("kiso", "survey", "a", 1, "field", DONE.night)
    number = exp_ids.reserve(allowed["observer"], 1, purpose)
    assert exp_ids.open_shutter(allowed["observer"], number, Opening("2024-01-05T12:00:00Z", "a"))
    taken = [DONE.model_copy(update={"exposure": f"{number:08d}"})]
    take(allowed["observer"], *taken)
    reduce(allowed["pipeline"], *taken)
    exposure = Exposure.model_validate(
        {
            "apiVersion": "gozen.astro/v1alpha1",
            "kind": "Exposure",
            "metadata": {"name": "field", "namespace": "kiso"},
            "spec": {
                "observationRef": {"name": "survey"},
                "exposureId": number,
                "night": DONE.night,
                "object": "x",
                "nframe": 2,
            },
        }
    )
    answer = ask_archive(allowed["operator"], exposure, Settings())
    assert (answer.trouble, answer.raw, set(answer.commits)) == (None, {"111"}, {"111"})
    assert tagged(allowed["owner"]) == {DONE.frame_id}


def test_a_policy_that_is_set_again_keeps_those_of_others(
    allowed: dict[str, S3Store], command: Command, tmp_path: Path
) -> None:
    owner = allowed["owner"]
    before = json.loads(owner.client.get_bucket_policy(Bucket="policies")["Policy"])["Statement"]
    command("archive", "policy", "--reader", "arn:aws:iam:::user/nobody", "--set", "--archive", owner.url, cwd=tmp_path)
    after = json.loads(owner.client.get_bucket_policy(Bucket="policies")["Policy"])["Statement"]
    assert [one for one in before if "Reader" not in one["Sid"]] == [one for one in after if "Reader" not in one["Sid"]]
    assert may(lambda: allowed["nobody"].read(KEYS["stack"]))
    assert not may(lambda: allowed["reader"].read(KEYS["stack"]))


def test_other_clients_write_with_what_the_manual_says(ceph: CephServer) -> None:
    bucket = ceph.bucket("other-clients")
    code = (
        "from pyarrow import fs; "
        f"s3 = fs.S3FileSystem(endpoint_override='{ceph.endpoint}', region='us-east-1'); "
        f"stream = s3.open_output_stream('{bucket}/a'); stream.write(b'whole' * 4_000_000); stream.close()"
    )
    when = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **when}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ceph.store(f"s3://{bucket}").read("a") == b"whole" * 4_000_000


def test_a_condition_on_an_etag_is_not_to_be_trusted(ceph: CephServer) -> None:
    client, bucket = ceph.client(), ceph.bucket("etags")
    quoted = client.put_object(Bucket=bucket, Key="a", Body=b"x")["ETag"]
    met = {}
    for etag in (quoted, quoted.strip('"')):
        try:
            client.put_object(Bucket=bucket, Key="a", Body=b"x", IfMatch=etag)
            met[etag] = True
        except client.exceptions.ClientError as error:
            met[etag] = error.response["Error"]["Code"]
    # Amazon takes the quoted one. So nothing that uses S3 relies on If-Match: all that is exclusive is a creation.
    assert met == {quoted: "PreconditionFailed", quoted.strip('"'): True}
    sources = Path(gozen.__file__).parent.rglob("*.py")
    on_s3 = [path for path in sources if "sharing" not in path.parts]  # sharing asks Nextcloud, by WebDAV
    assert [path for path in on_s3 if re.search("IfMatch|If-Match", path.read_text())] == []
