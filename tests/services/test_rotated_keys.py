"""Keys of the object store that change while a night is reduced: nothing is lost, and the run is completed.

Real processes with Ceph, with the rights of a pipeline pod. Covered: keys in a file, such as a mounted Secret, that
change during a run and a look-up, which continue; a key in the environment that is revoked during a run, which ends
with exit code 75 and is completed by the next run. What the policies allow: test_ceph_bucket.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gozen.archive.bucket_policy import statements
from gozen.archive.bucket_rules import set_policy
from gozen.archive.stores.s3_store import S3Store
from gozen.errors import StorageUnavailable

from .ceph_server import CephServer
from .conftest import NIGHT
from .lives import until
from .s3_server import keeping
from .test_night_by_command import start
from .test_s3_night import fill, on_disk, on_s3

pytestmark = pytest.mark.xdist_group("ceph")
Command = Callable[..., object]
PATIENCE_S = 300
PIPELINE = "arn:aws:iam:::user/rotating"
REVOKED = "the server does not accept the credentials|or were revoked"
"""Ceph says AccessDenied of a revoked key while it still has the key in its memory, and InvalidAccessKeyId later."""


@pytest.fixture
def archive(
    ceph: CephServer, simulated: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> S3Store:
    """Return an archive with the raw data of a night, as its owner sees it; commands are to work on it."""
    store = keeping(ceph.store(f"s3://{ceph.bucket(f'rotated-{len(request.node.name)}')}"))
    set_policy(store, statements(store.bucket, "", {"owner": ["arn:aws:iam:::user/owner"], "pipeline": [PIPELINE]}))
    fill(store, simulated, "raw/")
    fill(store, simulated, "truth/")
    shutil.copyfile(simulated / "recipe.yaml", tmp_path / "recipe.yaml")
    monkeypatch.setenv("GOZEN_ARCHIVE", store.url)
    monkeypatch.setenv("GOZEN_STORAGE__ATTEMPTS", "2")
    return store


def give(file: Path, key: str, secret: str) -> None:
    """Put a key into a file in one step, as a Secret is updated that is mounted."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    fresh.replace(file)


def commits(store: S3Store) -> list[str]:
    return [key for key in store.list("exposures") if key.endswith(".json")]


def test_a_run_goes_on_when_its_file_of_keys_changes(
    ceph: CephServer, archive: S3Store, reduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    file, old, new = tmp_path / "credentials", ceph.user("rotating"), ceph.user("rotating")
    give(file, *old)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    reader = ceph.store(archive.url)
    raw = reader.list("raw")[0]
    with monkeypatch.context() as alone:
        alone.setattr(reader.client, "get_object", None)
        assert bytes(reader.read_ranges(raw, [(0, 6)])[0]) == b"SIMPLE"
    command("masters", cwd=tmp_path)
    done = len(commits(archive))
    run = start(tmp_path, "run", "recipe.yaml")
    until(lambda: len(commits(archive)) > done, lambda: f"no commit: {run.poll()}", PATIENCE_S)
    give(file, *new)
    ceph.revoke("rotating", old[0])
    _, said = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert reader.list("exposures")
    with monkeypatch.context() as alone:
        alone.setattr(reader.client, "get_object", None)
        assert bytes(reader.read_ranges(raw, [(0, 6)])[0]) == b"SIMPLE"
    command("night", "append", NIGHT, cwd=tmp_path)
    mine, theirs = on_s3(archive), on_disk(reduced)
    assert sorted(mine) == sorted(theirs)
    assert [key for key in mine if mine[key] != theirs[key]] == []
    ceph.revoke("rotating", new[0])
    with pytest.raises(StorageUnavailable, match=REVOKED):
        reader.list("exposures")
    give(file, *ceph.user("rotating"))
    assert reader.list("exposures")


def test_a_key_that_is_revoked_under_a_run_costs_an_attempt_and_nothing_else(
    ceph: CephServer, archive: S3Store, reduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    old = ceph.user("rotating")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", old[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", old[1])
    command("masters", cwd=tmp_path)
    done = len(commits(archive))
    run = start(tmp_path, "run", "recipe.yaml")
    until(lambda: len(commits(archive)) > done, lambda: f"no commit: {run.poll()}", PATIENCE_S)
    ceph.revoke("rotating", old[0])
    _, said = run.communicate(timeout=300)
    assert run.returncode == 75, said
    assert "StorageUnavailable" in said
    assert re.search(REVOKED, " ".join(said.split())), said
    assert "Traceback" not in said
    committed = {key: archive.read(key) for key in commits(archive)}
    new = ceph.user("rotating")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", new[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", new[1])
    command("run", "recipe.yaml", cwd=tmp_path)
    command("night", "append", NIGHT, cwd=tmp_path)
    mine, theirs = on_s3(archive), on_disk(reduced)
    assert sorted(mine) == sorted(theirs)
    assert [key for key in mine if mine[key] != theirs[key]] == []
    assert committed.items() <= mine.items()
