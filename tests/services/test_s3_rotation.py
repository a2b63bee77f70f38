"""Keys and region that change during a session, for each S3 client: botocore, obstore, DuckDB, workers.

A real server gets another key, and so does the source of the keys: the environment, either of Amazon's files, the
service that gives a machine its role, a token in a mounted file. The fast client is tried again a minute after it
failed. Keys that change during a run of a night: test_rotated_keys.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gozen.archive.stores import s3_environment
from gozen.archive.stores.open_store import open_archive
from gozen.archive.stores.s3_ranges import GIVE_UP, REST_S, RangeClient
from gozen.archive.stores.s3_store import S3Store
from gozen.quickdb import Api, connect
from gozen.settings import load_settings

from .s3_server import SECRET, Line, S3Server, s3_server

pytestmark = pytest.mark.usefixtures("kept")
REGION = "eu-north-1"
STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken></SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class Giver(http.server.BaseHTTPRequestHandler):
    """Gives keys that hold for a minute: to a machine, and for a token, which is the key."""

    key: ClassVar[str] = ""

    def do_GET(self) -> None:
        found = {"AccessKeyId": self.key, "SecretAccessKey": SECRET, "Token": None, "Expiration": until()}
        self._say(json.dumps(found))

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = asked.partition("WebIdentityToken=")[2].partition("&")[0]
        self._say(STS.format(key=key, secret=SECRET, until=until()))

    def _say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def until() -> str:
    """Return a time in a minute, so that botocore asks again before each use."""
    return (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def giver() -> Iterator[str]:
    """Return the address of what gives keys."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Giver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


Give = Callable[[str], None]


@pytest.fixture(params=["environment", "credentials", "config", "machine", "token"])
def give(request: pytest.FixtureRequest, tmp_path: Path, giver: str, monkeypatch: pytest.MonkeyPatch) -> Give:
    """Return what puts a key where one of the sources has it; the others have none."""
    for name in s3_environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    files = {name: tmp_path / name for name in ("credentials", "config", "token")}
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files["credentials"]))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(files["config"]))
    if request.param == "machine":
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{giver}/role")
    if request.param == "token":
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(files["token"]))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pipeline")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", giver)

    def put(key: str) -> None:
        Giver.key = key
        if request.param == "environment":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        if request.param in files:
            fresh = tmp_path / "fresh"
            in_ini = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n"
            fresh.write_text(key if request.param == "token" else in_ini)
            fresh.replace(files[request.param])

    return put


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, nights: Path) -> Path:
    """Return the folder of a server that has the light curves in a bucket."""
    folder = tmp_path_factory.mktemp("rotation")
    shutil.copytree(nights, folder / "data" / "north" / "archive")
    return folder


@contextlib.contextmanager
def serving(bucket: Path, key: str, port: int | None = None) -> Iterator[S3Server]:
    """Run the server with one key, in a region that is not the usual one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOT_ACCESS_KEY", key)
        patch.setenv("VGW_REGION", REGION)
        with s3_server(bucket, port) as server:
            yield server


def asked(api: Api, store: S3Store) -> list[Any]:
    """Ask each client."""
    key = store.list("catalogs")[0]
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr(store.client, "get_object", None)
        fast = bytes(store.read_ranges(key, [(0, 4), (1, 3)])[1])
    sizes = api.map(lambda patch: patch("lightcurves.flux").size, cache=False)
    return [store.read(key), fast, sum(sizes), api.sql("SELECT count(*) AS n FROM lightcurves")["n"].to_pylist()]


def test_each_client_takes_the_keys_of_the_moment(
    bucket: Path, give: Give, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers of this machine have the environment of their start; the rest is the same code there as here.
    workers = int("environment" in request.node.name)
    monkeypatch.setenv("AWS_REGION", REGION)
    give("first-key")
    with serving(bucket, "first-key") as server:
        port = int(server.endpoint.rpartition(":")[2])
        settings = load_settings(archive="s3://north/archive", storage={"endpoint_url": server.endpoint, "attempts": 2})
        store = open_archive(settings)
        assert isinstance(store, S3Store)
        api = connect(settings.archive, workers=workers, settings=settings)
        before = asked(api, store)
    with api:
        give("the-second-key")
        with serving(bucket, "the-second-key", port):
            assert asked(api, store) == before


def test_workers_of_dask_take_the_keys_of_the_moment(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give(key: str) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    def total(api: Api) -> int:
        return sum(api.map(lambda patch: patch("lightcurves.flux").size, cache=False))

    monkeypatch.setenv("AWS_REGION", REGION)
    give("first-key")
    with serving(bucket, "first-key") as server:
        port = int(server.endpoint.rpartition(":")[2])
        settings = load_settings(archive="s3://north/archive", storage={"endpoint_url": server.endpoint, "attempts": 2})
        api = connect(settings.archive, workers=1, engine="dask", settings=settings)
        before = total(api)
    with api:
        give("the-second-key")
        with serving(bucket, "the-second-key", port):
            assert total(api) == before


@pytest.mark.parametrize("said", ["storage.region", "AWS_REGION", "AWS_DEFAULT_REGION", "config"])
def test_each_client_takes_the_region_that_is_said(
    bucket: Path, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    storage = {"attempts": 2}
    if said == "config":
        (tmp_path / "config").write_text(f"[default]\nregion = {REGION}\n")
    elif said == "storage.region":
        storage["region"] = REGION
        monkeypatch.setenv("AWS_REGION", "us-west-2")
    else:
        monkeypatch.setenv(said, REGION)
    with serving(bucket, "key") as server:
        settings = load_settings(archive="s3a://north/archive", storage={"endpoint_url": server.endpoint, **storage})
        store = open_archive(settings)
        assert isinstance(store, S3Store)
        with connect(settings.archive, workers=0, settings=settings) as api:
            assert asked(api, store)[1]


def test_the_fast_client_is_asked_again_a_minute_after_a_trouble(s3: S3Server) -> None:
    store, now = s3.store(f"s3://{s3.bucket('trouble')}"), [0.0]
    store.write("a", b"0123456789")
    with Line(int(s3.endpoint.rpartition(":")[2])) as line:
        way = s3.store(store.url, endpoint_url=f"http://127.0.0.1:{line.port}")
        fast = RangeClient(way._connection.asked, way.bucket, way._settings, lambda: now[0])

        def bytes_of() -> list[bytes] | None:
            found = fast.fetch("a", [(0, 2), (5, 7)])
            return None if found is None else [bytes(one) for one in found]

        assert bytes_of() == [b"01", b"56"]
        line.which, line.cuts = b"HTTP/1.1 206", 1000
        assert [bytes_of() for _ in range(GIVE_UP)] == [None] * GIVE_UP
        line.cuts = 0
        assert bytes_of() is None
        now[0] += REST_S
        assert bytes_of() == [b"01", b"56"]
        # What is not there is no trouble of the client.
        assert [fast.fetch("b", [(0, 2)]) for _ in range(GIVE_UP + 1)] == [None] * (GIVE_UP + 1)
        assert bytes_of() == [b"01", b"56"]
