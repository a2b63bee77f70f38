"""``make test-data``: download the public part of the observed test data, and check each file against its checksum.

`tests/real/public_files.csv` lists the files: the name that the tests use; the repository, commit and path of the
original; and the size and SHA-256 of its bytes before compression. A file gets its name only after its checksum is
verified, so an interrupted download can be started again. Existing files are checked and kept.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.suite.clock import say

LIST = Path(__file__).parents[1] / "real" / "public_files.csv"
SERVER = "https://raw.githubusercontent.com"
NOT_PUBLIC = ("adql", "lowell5945/truth", "recipes", "talk", "hatp32/tycho2.csv", "tomoe/tomoe_pm_gaia_excerpt.csv")
NOT_PUBLIC += ("misc_wcs/fram.fits.gz", "misc_wcs/unsolved.fits.gz")
TIMEOUT_S = 60


@dataclass(frozen=True)
class PublicFile:
    """A file of the test data, and where its original can be downloaded.

    Parameters
    ----------
    file
        Path below the folder of test data; ``.gz`` is added where the original is not compressed.
    size, sha256
        Of the original.
    """

    file: str
    repository: str
    commit: str
    path: str
    size: int
    sha256: str

    def problem(self, data: bytes) -> str | None:
        """Return why bytes are not those of the original, or None."""
        if len(data) != self.size:
            return f"{len(data)} bytes instead of {self.size}"
        found = hashlib.sha256(data).hexdigest()
        return None if found == self.sha256 else f"SHA-256 is {found[:12]}..., not {self.sha256[:12]}..."


def listed() -> list[PublicFile]:
    """Return the files of the list."""
    with LIST.open(newline="") as lines:
        return [
            PublicFile(row["file"], row["repository"], row["commit"], row["path"], int(row["bytes"]), row["sha256"])
            for row in csv.DictReader(lines)
        ]


def fetch(files: Iterable[PublicFile], folder: Path, server: str = SERVER) -> list[str]:
    """Download what is missing or damaged; return one message for each file that could not be had."""
    failures = []
    for one in files:
        target = folder / one.file
        if _is_whole(one, target):
            continue
        say(f"downloading {one.file}")
        try:
            problem = _download(one, target, server)
        except (OSError, urllib.error.URLError) as error:
            problem = str(error)
        if problem:
            failures.append(f"{one.file}: {problem}: {_address(one, server)}")
    return failures


def _is_whole(one: PublicFile, target: Path) -> bool:
    if not target.is_file():
        return False
    data = target.read_bytes()
    try:
        return one.problem(gzip.decompress(data) if target.suffix == ".gz" else data) is None
    except (OSError, EOFError):
        return False


def _download(one: PublicFile, target: Path, server: str) -> str | None:
    with urllib.request.urlopen(_address(one, server), timeout=TIMEOUT_S) as answer:
        data = answer.read(one.size + 1)
    problem = one.problem(data)
    if problem is None:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        partial.write_bytes(gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)
        partial.replace(target)
    return problem


def _address(one: PublicFile, server: str) -> str:
    return f"{server}/{one.repository}/{one.commit}/{one.path}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 when a file could not be downloaded."""
    parser = argparse.ArgumentParser(description="Download the observed test data that are public.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(os.environ.get("GOZEN_TEST_DATA", "test-data")))
    parser.add_argument("--server", default=SERVER, help="a mirror with the same paths")
    given = parser.parse_args(arguments)
    files = listed()
    failures = fetch(files, given.folder, given.server)
    for message in failures:
        say(f"not downloaded: {message}")
    say(f"{len(files) - len(failures)} of {len(files)} files are in {given.folder}")
    say(f"not public, so tests of them are skipped outside CI: {', '.join(NOT_PUBLIC)}")
    say(f"next: GOZEN_TEST_DATA={given.folder} .venv/bin/pytest tests/real")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
