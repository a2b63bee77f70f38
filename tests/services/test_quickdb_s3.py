"""QuickDB on object storage: the results as on disk, few requests, and a clear error if the server fails.

Covered: the same bits from map, mapreduce, SQL and look-ups as on disk; the number of requests; a missing file; failing
requests; a server that stops before or during a job, on each engine.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.retries import standard
from botocore.session import Session

from gozen.archive.stores.open_store import open_archive
from gozen.catalog import open_catalog
from gozen.catalog.maintain.release import release
from gozen.errors import StorageUnavailable, UnreadableInput
from gozen.quickdb import Api, Cone, connect
from gozen.settings import load_settings

from .conftest import in_environment
from .fault_proxy import FaultProxy, Trouble
from .quickdb_surveys import FIELD, here
from .s3_server import KEY, SECRET, S3Server, s3_server
from .watched_processes import gone, wait_until

pytestmark = pytest.mark.usefixtures("kept")


def copied(nights: Path, server: S3Server, bucket: str) -> str:
    """Copy the light curves to a bucket; return its address."""
    url = f"s3://{server.bucket(bucket)}/archive"
    store = server.store(url)
    for path in nights.rglob("*"):
        if path.is_file():
            store.write(str(path.relative_to(nights)), path.read_bytes())
    return url


@pytest.fixture(scope="module")
def far(nights: Path, s3: S3Server) -> str:
    """Return the address of the light curves in a bucket."""
    return copied(nights, s3, "quickdb")


def moments(patch: Any) -> tuple[int, float, np.ndarray]:
    flux = patch("lightcurves.flux")
    return patch.size, float(flux.sum()), np.histogram(patch("lightcurves.mjd"), 7)[0]


def added(a: Any, b: Any) -> Any:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def asked(api: Api) -> list[Any]:
    """Ask all that can be asked."""
    ra, dec = float(FIELD.ra[3]), float(FIELD.dec[3])
    circle = f"SELECT source_id, mjd, flux FROM lightcurves WHERE within(ra, dec, {ra!r}, {dec!r}, 600) ORDER BY ALL"
    size, total, histogram = api.mapreduce(moments, added, cache=False)
    around = api.map(lambda patch: len(patch.margin(60)("lightcurves.ra")), table="lightcurves", cache=False)
    return [
        (size, total, histogram.tolist()),
        list(api.map(lambda patch: patch("lightcurves.flux").tolist(), region=Cone(ra, dec, 1), cache=False)),
        list(around),
        api.sql(circle).to_pylist(),
        api.lightcurve(int(FIELD.source_id[3])).to_pylist(),
        api.lightcurve(ra=ra, dec=dec, radius=100).to_pylist(),
    ]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_same_as_on_disk(nights: Path, far: str, workers: int) -> None:
    with here(nights) as on_disk, connect(far, workers=workers) as api:
        assert str(asked(api)) == str(asked(on_disk))


def test_a_job_asks_the_server_seldom(nights: Path, far: str, s3: S3Server) -> None:
    with here(nights) as on_disk:
        patches = len(list(on_disk.map(lambda patch: patch.id, table="lightcurves", cache=False)))
    with connect(far, workers=0) as api:
        api.mapreduce(moments, added, cache=False)
        before = len(s3.requests())
        api.mapreduce(moments, added, cache=False)
        after = s3.requests()[before:]
    assert len(after) <= 6 * patches + 5
    assert set(after) <= {"GetObject", "HeadObject", "ListObjectsV2"}


@pytest.mark.parametrize("number", range(4))
def test_requests_that_fail_change_no_answer(
    nights: Path, far: str, s3: S3Server, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.001)
    with here(nights) as on_disk:
        expected = on_disk.mapreduce(moments, added, cache=False)
    with FaultProxy(int(s3.endpoint.rpartition(":")[2])) as proxy:
        proxy.choose = trouble = Trouble(f"quickdb {number}", share=0.3)
        settings = load_settings(archive=far, storage={"endpoint_url": proxy.endpoint, "attempts": 6})
        with connect(far, workers=0, settings=settings) as api:
            answers = []
            while len(answers) < 2:
                with contextlib.suppress(StorageUnavailable):  # said, and asked again; faults come to an end
                    answers.append(api.mapreduce(moments, added, cache=False))
    assert str(answers) == str([expected] * 2)
    assert sum(trouble.met.values()) > 5


def test_sql_takes_region_and_keys_from_where_every_other_request_does(
    nights: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of another region gets a new key, and so does the file of keys, while a session goes on."""
    keys, counted = tmp_path / "keys", "SELECT count(*) AS n FROM lightcurves"
    monkeypatch.setenv("VGW_REGION", "eu-north-1")  # of versitygw

    def give(key: str) -> None:
        monkeypatch.setenv("ROOT_ACCESS_KEY", key)
        keys.with_suffix(".fresh").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n"
        )
        keys.with_suffix(".fresh").replace(keys)

    give(KEY)
    with s3_server(tmp_path / "server") as server:
        port = int(server.endpoint.rpartition(":")[2])
        client = Session().create_client(
            "s3", "eu-north-1", endpoint_url=server.endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        client.create_bucket(Bucket="north", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
        monkeypatch.setenv("GOZEN_STORAGE__ENDPOINT_URL", server.endpoint)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        store = open_archive(load_settings(archive="s3://north/archive"))
        for path in (path for path in nights.rglob("*") if path.is_file()):
            store.write(str(path.relative_to(nights)), path.read_bytes())
        api = connect(store.url, workers=0)
        before = api.sql(counted)
    give("another")
    with s3_server(tmp_path / "server", port):
        assert api.sql(counted).equals(before)
        assert api.sql("SELECT count(*) AS n FROM exposures")["n"].to_pylist() == [0]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[S3Server]:
    """Return a server that a test may stop."""
    with s3_server(tmp_path / "server") as server, in_environment(server):
        yield server


@pytest.mark.parametrize("workers", [0, 1])
def test_a_server_that_stops_in_the_middle_is_said(
    nights: Path, mortal: S3Server, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOZEN_STORAGE__ATTEMPTS", "1")
    url = copied(nights, mortal, "mortal")
    with connect(url, workers=workers) as api:
        assert api.mapreduce(moments, added, cache=False)
        running = api.map(lambda patch: float(patch("lightcurves.flux_err").sum()), cache=False)
        mortal.process.kill()
        mortal.process.wait()
        with pytest.raises(StorageUnavailable, match="archive"):
            list(running)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_file_is_named(nights: Path, s3: S3Server, workers: int) -> None:
    url = copied(nights, s3, f"missing-{workers}")
    store = s3.store(url)
    lost = open_catalog(store, "lightcurves").urls()[1]
    store.delete(lost.removeprefix(f"{url}/"))
    with connect(url, workers=workers) as api:
        with pytest.raises(UnreadableInput, match=f"(?s){re.escape(lost)}.*gozen catalog verify"):
            api.mapreduce(moments, added, cache=False)
        with pytest.raises(UnreadableInput, match=f"(?s){re.escape(lost)}.*gozen catalog verify"):
            api.sql("SELECT sum(flux) FROM lightcurves")


def stops_the_server(server: int, folder: Path) -> Callable[[Any], float]:
    """Return a function that marks each patch, with its worker, and stops a process once there are three marks."""

    def function(patch: Any) -> float:
        flux = float(patch("lightcurves.flux").sum())
        (folder / f"{os.getpid()}-{patch.id.replace('/', '-')}").touch()
        if len(list(folder.iterdir())) > 2:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
            wait_until(lambda: gone(server))
            flux += float(patch("lightcurves.flux_err").sum())
        return flux

    return function


@pytest.mark.parametrize(
    "how", [{"workers": 0}, {"workers": 2}, {"workers": 2, "engine": "dask"}], ids=["here", "local", "dask"]
)
def test_a_server_that_stops_halfway_through_a_release_is_said_and_workers_end(
    nights: Path, mortal: S3Server, tmp_path: Path, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOZEN_STORAGE__ATTEMPTS", "1")
    url = copied(nights, mortal, "mortal")
    release(mortal.store(url), "dr1", {"lightcurves": "lightcurves"})
    marks = tmp_path / "marks"
    marks.mkdir()
    with connect(url, rerun="dr1", **how) as api:
        with pytest.raises(StorageUnavailable, match="archive"):
            api.mapreduce(stops_the_server(mortal.process.pid, marks), lambda a, b: a + b, cache=False)
        mortal.process.wait()
    workers = {int(mark.name.split("-")[0]) for mark in marks.iterdir()}
    assert workers
    wait_until(lambda: all(gone(worker) for worker in workers if worker != os.getpid()))
