"""A small simulated night, made once, which the tests of the command line copy and reduce."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from .ceph_server import CephServer, ceph_server
from .fork_client import ForkServer, fork_server
from .kept_apart import brief, lasting, small  # noqa: F401 fixtures of the modules of isolation
from .made_once import made_once, shared_folder
from .quickdb_surveys import kept, nights, survey  # noqa: F401 fixtures of every module here
from .s3_server import S3Server, s3_server
from .small_demo import CAMERA, demo_folder, started
from .transfer_places import own, place, transfer_server  # noqa: F401 fixtures of the modules of transfers
from .transferred_files import cube  # noqa: F401 a fixture of the same modules

_BUCKETS = itertools.count(1)
Server = TypeVar("Server", bound=S3Server)
NIGHT = "20260115"
RECIPE = """\
Observer: Tester
Project: Small field
Priority: 0.5
Operations:
- Pointing: { ra: 19.75, dec: 29.71 }
- SetPipeline: [wcs, stack]
- SetParameter: { tinteg_sec: 0.5, nframe: 6 }
- Exposure: field_dith1
- Dithering: [0, 300]
- Exposure: field_dith2
Comment:
Two exposures: the second lies a little north.
"""


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Return the process that starts calls of the command within milliseconds."""
    with fork_server(shared_folder(tmp_path_factory)) as server:
        yield server


@pytest.fixture(scope="session")
def command(forks: ForkServer) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``gozen`` with the small camera as a user would, but for its start, and return what it said.

    One worker starts sooner than two; what two make is in `reduced`, which others are compared with bit by bit.
    """

    def run(*words: str | Path, cwd: Path, check: bool = True, workers: int = 1) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "GOZEN_INSTRUMENT": str(CAMERA), "GOZEN_WORKERS": str(workers)}
        done = forks.run([*map(str, words)], cwd, environment)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory, command: Callable[..., object]) -> Path:
    """Return a folder with a recipe and the raw data, truth and masters of a night; not to be changed."""

    def make(folder: Path) -> None:
        (folder / "recipe.yaml").write_text(RECIPE)
        started("simulate", "recipe.yaml", "--night", NIGHT, "--sensors", "111,112", cwd=folder)
        command("masters", cwd=folder)

    return made_once(tmp_path_factory, "simulated", make)


@pytest.fixture
def night(simulated: Path, tmp_path: Path) -> Path:
    """Return a copy of the simulated night that a test may change."""
    shutil.copytree(simulated, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="session")
def reduced(simulated: Path, tmp_path_factory: pytest.TempPathFactory, command: Callable[..., object]) -> Path:
    """Return the same night reduced and appended without any trouble; not to be changed."""

    def make(folder: Path) -> None:
        shutil.copytree(simulated, folder, dirs_exist_ok=True)
        command("run", "recipe.yaml", cwd=folder, workers=2)
        command("night", "append", NIGHT, cwd=folder)

    return made_once(tmp_path_factory, "reduced", make)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the smallest demo, made by the command line; not to be changed."""
    return demo_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def s3_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server for all tests of this process."""
    with s3_server(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


@pytest.fixture(scope="session")
def ceph_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephServer]:
    """Run a Ceph for all tests of this process; they bear the mark ``xdist_group("ceph")``."""
    with ceph_server(tmp_path_factory.mktemp("ceph") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def s3(s3_process: S3Server) -> Iterator[S3Server]:
    """Return an S3 server, with the environment set up as its users have it."""
    with in_environment(s3_process) as server:
        yield server


@pytest.fixture(scope="module")
def ceph(ceph_process: CephServer) -> Iterator[CephServer]:
    """Return a Ceph, with the environment set up as the owner of its buckets has it."""
    with in_environment(ceph_process) as server:
        yield server


@contextlib.contextmanager
def in_environment(server: Server) -> Iterator[Server]:
    """Set the environment up as the users of a server have it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def s3_bucket(s3: S3Server) -> str:
    """Return the address of an archive in a bucket of its own."""
    return f"s3://{s3.bucket(f'bucket-{next(_BUCKETS)}')}/archive"
