"""A full home folder, on a separate small disk: the lab starts, runs code, and lets its user delete files.

Covered: a home that was used before, and a new one in which not even a folder can be created; the record of QuickDB's
results. The same in a pod: tests/cluster/test_platform_faults.py.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.fake_hub import FakeHub, fake_hub
from tests.free_ports import free_port

from gozen.quickdb.jobs.result_cache import Cache

from .hub_client import called, executed, status
from .watched_processes import START_S, wait_until

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 and not os.environ.get("CI"), reason="mounting a small disk needs root"
)
ROOT = Path(__file__).parents[2]
SIZE = 2**18
WRITE = "import pathlib; pathlib.Path('new.txt').write_text('a' * 5000)"
USER, TOKEN, SCOPE = "hoshi", "hoshis", "access:servers!server=hoshi/"


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a home on a disk of `SIZE` bytes, and of some number of files."""
    folder = tmp_path / "home"
    folder.mkdir()
    files = getattr(request, "param", 200)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes={files}", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(home: Path, *, also_names: bool) -> None:
    """Write until nothing can be written any more."""
    with suppress(OSError), (home / "big").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with suppress(OSError):
        for number in itertools.count() if also_names else ():
            (home / f"name{number}").touch()
    found = os.statvfs(home)
    assert found.f_bfree == 0
    assert (found.f_ffree == 0) == also_names


@contextmanager
def lab(home: Path, hub: FakeHub, log: Path) -> Iterator[str]:
    """Start the lab of a user as the hub does; yield its address when it answers."""
    prefix, port = f"/user/{USER}/", free_port()
    url = f"http://127.0.0.1:{port}{prefix}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))},
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("pipelines", "operator")),
        "GOZEN_NOTEBOOKS": str(ROOT / "notebooks"),
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_API_URL": f"{hub.url}/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": f"{hub.url}/hub/api/users/{USER}/activity",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{USER}",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([SCOPE]),
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
        "JUPYTERHUB_SERVICE_PREFIX": prefix,
        "JUPYTERHUB_SERVICE_URL": url,
        "JUPYTERHUB_USER": USER,
    }
    command = [sys.executable, "-m", "gozen_hub.start_lab", "--allow-root"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or status(f"{url}api", TOKEN) == 200, START_S)
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(("home", "also_names"), [(200, False), (12, True)], indirect=["home"], ids=["bytes", "names"])
def test_a_lab_in_a_full_home_starts_runs_code_and_lets_its_user_delete_files(
    home: Path, also_names: bool, tmp_path: Path
) -> None:
    fill(home, also_names=also_names)
    with fake_hub() as hub:
        hub.users, hub.scopes = {TOKEN: USER}, [SCOPE]
        with lab(home, hub, tmp_path / "lab.log") as url:
            kernel = called(f"{url}api/kernels", TOKEN, "POST", {"name": "python3"})["id"]
            channels = f"{url}api/kernels/{kernel}/channels"
            assert executed(channels, TOKEN, "print(6 * 7)") == "ok"
            assert executed(channels, TOKEN, WRITE) == "error"
            called(f"{url}api/contents/big", TOKEN, "DELETE")
            called(f"{url}api/contents/{'name0' if also_names else ''}", TOKEN, "DELETE" if also_names else "GET")
            assert executed(channels, TOKEN, WRITE) == "ok"
    assert (home / "new.txt").stat().st_size == 5000
    assert "is full" in (tmp_path / "lab.log").read_text()
    assert not list(home.rglob("*.part"))


def test_a_record_of_results_leaves_nothing_of_a_value_for_which_there_is_no_space(home: Path) -> None:
    cache = Cache(home / "cache", 2**30)
    cache.put("small", bytes(1000))
    assert os.listdir(home / "cache") == ["small"]  # noqa: PTH208 - the names of all, also of hidden ones
    cache.put("large", bytes(2 * SIZE))
    assert os.listdir(home / "cache") == ["small"]  # noqa: PTH208
