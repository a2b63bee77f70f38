"""The documentation is correct: it builds without a warning, and every file and command in it is run.

Each page is followed in an empty folder, in order, as a reader does; the output of a command must contain the lines
that the page shows. A page may begin in the folder that another page leaves behind. Not covered: `pages.EXEMPT`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import pytest

from ..observed_data import DATA
from .fork_client import ForkServer
from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer
from .pages import Command, Reader, beginning_of, first_missing, steps_of
from .s3_server import S3Server

ROOT = Path(__file__).parents[2]
PAGES = [path.relative_to(ROOT).as_posix() for path in sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")])]
RUN = [
    page
    for page in PAGES
    if any(isinstance(s, Command) for s in steps_of((ROOT / page).read_text("utf-8")))
    and beginning_of((ROOT / page).read_text("utf-8")) != "node"  # tests/cluster follows these
]
NO_KEYRING = "keyring.backends.fail.Keyring"
TUTORIALS = ("docs/tutorials/first-exposure.md", "docs/tutorials/your-own-camera.md")


def text_of(page: str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def fill_my_night(folder: Path) -> None:
    """Put real nights of two other cameras into a folder, as the tutorial describes them."""
    source = DATA / "lowell5945"
    assert source.is_dir(), f"the real night is not at {source}; set GOZEN_TEST_DATA to the folder of the test data"
    for kind, files in (("sky", source), ("bias", source / "zero"), ("flat", source / "flat")):
        (folder / "my-night" / kind).mkdir(parents=True)
        for number, path in enumerate(sorted(files.glob("*.fits.gz")), start=1):
            shutil.copyfile(path, folder / "my-night" / kind / f"{kind}-{number:02d}.fits.gz")
    shutil.copyfile(source / "truth" / "lowell5945_starcat_819.fits", folder / "my-stars.fits")
    small = DATA / "hatp32"
    (folder / "small-night").mkdir()
    for path in sorted(small.glob("*.FITS.gz")):
        shutil.copyfile(path, folder / "small-night" / path.name)
    shutil.copyfile(small / "tycho2.csv", folder / "small-stars.csv")
    (folder / "my-indexes").mkdir()
    shutil.copyfile(
        source / "truth" / "lowell5945_astrometrynet_index.fits", folder / "my-indexes" / "index-my-field.fits"
    )


@pytest.fixture(scope="session")
def programs(forks: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a ``gozen`` that is loaded already; `test_start` starts each verb as users do."""
    return forks.program(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="session")
def path(programs: Path) -> str:
    """Return the PATH of a reader."""
    return f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture(autouse=True)
def _counted(programs: Path, forks: ForkServer) -> Iterator[None]:
    yield
    forks.count(programs)


@pytest.fixture(scope="session")
def after(path: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder that a page leaves behind; each page is followed once."""
    left: dict[str, Path] = {}

    def folder_after(page: str) -> Path:
        if page not in left:
            folder = tmp_path_factory.mktemp(Path(page).stem)
            begin(folder, page, folder_after)
            Reader(folder, PATH=path).follow(text_of(page))
            left[page] = folder
        return left[page]

    return folder_after


def begin(folder: Path, page: str, after: Callable[[str], Path]) -> None:
    """Give a page the folder that it begins with."""
    first = beginning_of(text_of(page))
    if first == "my-night":
        fill_my_night(folder)
    elif first not in (None, "s3", "nextcloud"):
        shutil.copytree(after(f"docs/{first}"), folder, dirs_exist_ok=True)


def group_of(page: str) -> str:
    """Return the pages' family, which one process follows, so that a tutorial is followed once."""
    first = beginning_of(text_of(page))
    family = page if first in (None, "my-night", "s3", "nextcloud") else f"docs/{first}"
    return f"docs {TUTORIALS.index(family) if family in TUTORIALS else 0}"


@pytest.mark.parametrize("page", [pytest.param(p, marks=pytest.mark.xdist_group(group_of(p)), id=p) for p in RUN])
def test_the_commands_of_a_page_do_what_it_says(
    page: str, after: Callable[[str], Path], path: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if page in TUTORIALS:
        after(page)
        return
    begin(tmp_path, page, after)
    text = text_of(page)
    if beginning_of(text) == "s3":
        server: S3Server = request.getfixturevalue("s3")
        server.bucket("sky")
        text = text.replace("https://s3.example.org", server.endpoint)
    with nextcloud_of(tmp_path) if beginning_of(text) == "nextcloud" else nullcontext() as cloud:
        text = text.replace("https://cloud.example.org", cloud.url) if cloud else text
        further = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHON_KEYRING_BACKEND": NO_KEYRING} if cloud else {}
        Reader(tmp_path, PATH=path, **further).follow(text)


def nextcloud_of(folder: Path) -> SharingServer:
    """Return a Nextcloud whose user agrees at once to each log-in."""
    persons = [Person("hoshi", "of-hoshi", groups=("sky",)), Person("sora", "of-sora", groups=("sky",))]
    server = SharingServer(folder / ".nextcloud", persons)
    server.login.agrees = ("hoshi", "of-hoshi")
    return server


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    mkdocs = Path(sys.executable).parent / "mkdocs"
    command = [mkdocs, "build", "--strict", "--site-dir", tmp_path / "site"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "tutorials" / "first-exposure" / "index.html").is_file()


def test_both_tutorials_are_followed() -> None:
    assert set(TUTORIALS) <= set(RUN)
    assert all("gozen lightcurve" in text_of(page) for page in TUTORIALS)


def test_a_page_that_says_something_else_is_found(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    page = '```text title="a.txt"\none two\n```\n```console\n$ cat a.txt\none ...\n```\n'
    reader.follow(page)
    with pytest.raises(AssertionError, match="without the line"):
        reader.follow(page.replace("one ...", "three"))
    with pytest.raises(AssertionError, match="exit code"):
        reader.follow(page.replace("cat a.txt", "cat b.txt"))
    with pytest.raises(AssertionError, match="exit code 0"):
        reader.follow(page.replace("one ...", "gozen: BadRequest: ..."))


def test_a_command_does_not_wait_for_what_has_failed_beside_it(tmp_path: Path) -> None:
    failed: Future[None] = Future()
    failed.set_exception(LookupError("no such Job"))
    begin = time.monotonic()
    with pytest.raises(LookupError, match="no such Job"):
        Reader(tmp_path).follow("```console\n$ sleep 600\n```\n", beside=failed)
    assert time.monotonic() - begin < 60


def test_lines_are_compared_in_order_and_without_regard_to_blanks() -> None:
    assert first_missing(("a  b", "d ... f", "g ... h"), "a b\nc\nd  e f\ng   h\n") is None
    assert first_missing(("d ... f", "a b"), "a b\nc\nd e f\n") == "a b"
