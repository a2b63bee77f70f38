"""A small archive, a portal and a logged-in user, for the tests of the portal.

Hub and portal run once for each test module; the log-ins of a test are removed before the next one. A module gets all
fixtures by an assignment: ``running_hub, running_portal, hub, client, logged_in = portal_samples.FIXTURES``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from tests.fake_hub import SECRET, FakeHub, fake_hub

from gozen.archive import keys
from gozen.archive.access_levels import Members
from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog.format import layout
from gozen.catalog.format.manifest import DataFile, Kind, Manifest
from gozen.portal.portal_app import make_app
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.settings import Settings

PREFIX = "/services/portal/"
ORIGIN = "http://portal.test"


@pytest.fixture(scope="module")
def running_hub() -> Iterator[FakeHub]:
    """Run a hub that answers what the portal asks."""
    with fake_hub() as opened:
        yield opened


@pytest.fixture
def hub(running_hub: FakeHub) -> FakeHub:
    """Return the hub, as new."""
    running_hub.forget()
    return running_hub


@pytest.fixture(scope="module")
def running_portal(running_hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Run a portal on the sample archive."""
    folder = tmp_path_factory.mktemp("archive")
    sample_archive(folder)
    with browser(running_hub, folder) as opened:
        yield opened


@pytest.fixture
def client(hub: FakeHub, running_portal: TestClient) -> TestClient:
    """Return a browser that nobody is logged in with, on the sample archive."""
    running_portal.cookies.clear()
    return running_portal


@pytest.fixture
def logged_in(hub: FakeHub, running_portal: TestClient) -> TestClient:
    """Return a browser in which hoshi is logged in, on the sample archive."""
    running_portal.cookies.clear()
    log_in(running_portal, hub)
    return running_portal


FIXTURES = (running_hub, running_portal, hub, client, logged_in)


def environment(
    listen: str = "http://0.0.0.0:8010", origin: str = ORIGIN, hub: str = "http://hub.test"
) -> dict[str, str]:
    """Return the variables that a hub gives to a portal.

    Parameters
    ----------
    listen
        Address at which the portal listens.
    origin, hub
        Origins of the portal and of the hub in the browser.
    """
    return {
        "JUPYTERHUB_SERVICE_URL": listen,
        "JUPYTERHUB_PUBLIC_URL": f"{origin}{PREFIX}",
        "JUPYTERHUB_PUBLIC_HUB_URL": f"{hub}/hub/",
        "JUPYTERHUB_API_URL": f"{hub}/hub/api",
        "JUPYTERHUB_API_TOKEN": SECRET,
        "GOZEN_PORTAL_ACCESS": '{"everyone": true}',
    }


def portal_settings(hub: FakeHub, **changed: object) -> PortalSettings:
    """Return the settings of a portal at `ORIGIN` that a fake hub has started."""
    found = PortalSettings(
        listen_host="127.0.0.1",
        listen_port=0,
        public_url=f"{ORIGIN}{PREFIX}",
        hub_url=f"{hub.url}/hub/",
        api_url=f"{hub.url}/hub/api",
        api_token=SECRET,
        members=Members(everyone=True),
    )
    return replace(found, **changed)  # type: ignore[arg-type] # fields of the settings


@contextmanager
def browser(
    hub: FakeHub,
    archive: Path | str,
    *,
    patience_s: float = 10.0,
    deadline_s: float = 60.0,
    language: str = "en",
    **changed: object,
) -> Iterator[TestClient]:
    """Open a browser that nobody is logged in with; `changed` are settings of the portal."""
    settings = portal_settings(hub, **changed)
    app = make_app(settings, Settings(archive=str(archive)), patience_s=patience_s, deadline_s=deadline_s)
    base, headers = urljoin(settings.public_url, "/"), {"Accept-Language": language}
    with TestClient(app, base_url=base, headers=headers, raise_server_exceptions=False) as client:
        yield client


def log_in(client: TestClient, hub: FakeHub, path: str = PREFIX) -> str:
    """Log in by way of a page; return the address on which the browser ends."""
    asked = client.get(path, follow_redirects=False)
    assert asked.status_code == 303, asked.text
    back = client.get(hub.begin(asked.headers["location"]), follow_redirects=False)
    assert back.status_code == 303, back.text
    return str(back.headers["location"])


def sample_archive(root: Path, nights: Sequence[str] = ("20260114", "20260115")) -> Store:
    """Make an archive with two live tables, a release and a log."""
    store = open_store(root)
    write_table(store, "lightcurves", "source", 21_180, 822_000, nights)
    write_table(store, "objects", "object", 26, 3_600)
    write_release(store, "dr1", {"lightcurves": ("source", 15_000, 600_000)})
    for number, night in enumerate(nights):
        write_night(store, night, exposures=number + 1)
    return store


def write_table(store: Store, name: str, kind: Kind, rows: int, size: int, nights: Sequence[str] = ()) -> None:
    """Write the manifest of a live table."""
    store.write(layout.manifest(name, 1), _manifest(name, kind, rows, size, nights).to_json())


def write_release(store: Store, rerun: str, tables: dict[str, tuple[Kind, int, int]]) -> None:
    """Write a release of tables, each with kind, rows and bytes."""
    for name, (kind, rows, size) in tables.items():
        version = _manifest(name, kind, rows, size, (), layout.FIRST_RELEASED)
        store.write(f"{keys.catalog(name)}/{layout.release(rerun)}", version.to_json())
    named = {name: {"collection": name, "manifest": layout.release(rerun)} for name in tables}
    store.write(keys.release(rerun), json.dumps({"format": 1, "tables": named}).encode())


def write_night(store: Store, night: str, exposures: int = 1, rejected: int = 0) -> None:
    """Write the log of a night: each exposure with two sensors, the first `rejected` rows refused."""
    rows = [
        {"exposure": f"e{number}", "status": "reduced", "mjd_start": 61054.5 + number / 100}
        for number in range(exposures)
        for _ in range(2)
    ]
    for row in rows[:rejected]:
        row["status"] = "rejected"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    store.write(keys.log_table("exposures", night), sink.getvalue().to_pybytes())


def _manifest(name: str, kind: Kind, rows: int, size: int, nights: Sequence[str], generation: int = 1) -> Manifest:
    files = (DataFile("Norder=0/Dir=0/Npix=1/a.parquet", rows, size),)
    lists = {night: f"night/{night}.json" for night in nights}
    return Manifest(name, 1, kind, generation, 5, "schema", "index", "coverage", files, lists)
