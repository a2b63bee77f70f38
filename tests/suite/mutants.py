"""``make mutants``: put bugs into a copy of the checkout, one at a time; the named tests must find each.

A repeated test must find its bug within a third of its repetitions, for each of five seeds. The seeded bugs of the
operator are in tests/property, where they need no second installation.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.effort import MARGIN, REPEATS, SEEDS

from .clock import BEGAN, say
from .costs import FOLDER
from .passed import PASSED

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build" / "mutants" / "checkout"
SECONDS = 1200
OF_THE_RUN = (FOLDER, PASSED, BEGAN, "GOZEN_TIER")


@dataclass(frozen=True)
class Mutant:
    """A bug.

    Parameters
    ----------
    does
        What is wrong with it.
    path, right, wrong
        The file, and the text in it that is changed.
    tests
        What must find it.
    kind
        The repetitions that do, by their name in tests/effort.py; None where one test suffices.
    """

    does: str
    path: str
    right: str
    wrong: str
    tests: str
    kind: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds for which it must be found."""
        return SEEDS if self.kind else SEEDS[:1]


TABLES = "pipelines/gozen/catalog"
TRANSFERS = "pipelines/gozen/sharing/transfers"
MUTANTS = (
    Mutant(
        "a correction loses the rows of other nights",
        f"{TABLES}/write/append.py",
        "            if len(rest):\n",
        "            if len(rest) and named == night:\n",
        "tests/property/test_catalog_histories.py",
        "histories of a table",
    ),
    Mutant(
        "a correction leaves the old rows in compacted files",
        f"{TABLES}/write/append.py",
        "if named not in (night, layout.SEVERAL_NIGHTS) or",
        "if named != night or",
        "tests/property/test_catalog_histories.py",
        "histories of a table",
    ),
    Mutant(
        "an append that is tried again adds its rows again",
        f"{TABLES}/write/conform_rows.py",
        " if kept is None or s not in kept.sensors)",
        ")",
        "tests/services/test_s3_faults.py::test_random_faults_leave_a_whole_archive",
        "histories of a failing S3",
    ),
    Mutant(
        "sensors that come later lose a row",
        f"{TABLES}/write/append.py",
        "rows.selected(part, change.new)\n",
        "rows.selected(part, change.new).slice(1)\n",
        "tests/services/test_s3_faults.py::test_random_faults_leave_a_whole_archive",
        "histories of a failing S3",
    ),
    Mutant(
        "a product is stored without its end",
        "pipelines/gozen/archive/commit.py",
        "    store.write(key, data)\n    return Product(",
        "    store.write(key, data[:-1])\n    return Product(",
        "tests/services/test_s3_faults.py::test_random_faults_leave_a_whole_archive",
        "histories of a failing S3",
    ),
    Mutant(
        "a file in Nextcloud gets parts of two states of the file here",
        f"{TRANSFERS}/upload_chunks.py",
        "        return UploadNote(folder, state.size, state.mtime_ns, self._plan.chunk_size)\n",
        "        return UploadNote(folder, state.size, 0, self._plan.chunk_size)\n",
        "tests/property/test_sharing_histories.py",
        "histories of sharing",
    ),
    Mutant(
        "what another client has changed in Nextcloud is overwritten",
        f"{TRANSFERS}/compare.py",
        "    if last is None or last.etag != there.etag:\n",
        "    if last is None:\n",
        "tests/property/test_sharing_histories.py",
        "histories of sharing",
    ),
    Mutant(
        "times are those of the end of an exposure",
        "pipelines/gozen/frames/row_times.py",
        "exposure_s / 2)",
        "exposure_s)",
        "tests/services/test_simulated_truth.py",
    ),
    Mutant(
        "a commit stands half a second before its products",
        "pipelines/gozen/reduction/reduce_sensor.py",
        "    outcome = write_commit(shared.store, work.processing, commit)\n",
        "    late = {one.key: shared.store.read(one.key) for one in commit.products.values()}\n"
        "    [shared.store.delete(key) for key in late]\n"
        "    outcome = write_commit(shared.store, work.processing, commit)\n"
        '    __import__("time").sleep(0.5)\n'
        "    [shared.store.write(key, data) for key, data in late.items()]\n",
        "tests/services/test_killed.py::test_killed_at_random_moments_it_ends_in_the_same_archive",
        "kills at random moments",
    ),
    Mutant(
        "a user's function reads the files of others",
        "pipelines/gozen/quickdb/isolation/landlock.py",
        "[Path(one) for one in _SYSTEM]",
        '[Path(one) for one in (*_SYSTEM, "/tmp")]',
        "tests/services/test_isolation.py tests/services/test_isolation_process.py",
    ),
    Mutant(
        "a dict that a user's function sends has keys of any kind",
        "pipelines/gozen/quickdb/isolation/codec/decode.py",
        "if not is_key(key):",
        "if not is_key(key) and isinstance(key, list):",
        "tests/property/test_quickdb_wire.py::test_many_small_changes",
        "messages of a hostile function",
    ),
    Mutant(
        "NumPy hears of a dtype before its numbers are checked",
        "pipelines/gozen/quickdb/isolation/codec/dtypes.py",
        "    size = _check_element(described)\n    dtype",
        "    size = _made(described).itemsize\n    dtype",
        "tests/services/test_isolation_fenced.py::test_no_message_is_read_or_written_beyond",
        "messages behind a fence",
    ),
    Mutant(
        "Arrow data are not looked through",
        "pipelines/gozen/quickdb/isolation/codec/arrow.py",
        "one.validate(full=True)",
        "one.validate()",
        "tests/services/test_isolation_fenced.py::test_no_message_is_read_or_written_beyond",
        "messages behind a fence",
    ),
    Mutant(
        "a label ends as the API server does not allow",
        "operator/gozen_operator/reconcile/job_manifests.py",
        '.rstrip("_")',
        "",
        "tests/cluster/test_fuzz_admission.py::test_what_the_server_lets_pass_is_understood_and_what_it_refuses_is_named",
        "fuzzed admissions",
    ),
)


def main() -> int:
    """Try every bug; return 1 where one is not found, or too late."""
    copy_checkout()
    survived = [f"{tests} fails without any bug" for tests in fail_without_bug()]
    for mutant in [] if survived else MUTANTS:
        with put_into(COPY, mutant):
            found = {seed: found_at(mutant, seed) for seed in mutant.seeds}
        enough = REPEATS[mutant.kind].small // MARGIN if mutant.kind else 1
        if any(at is None or at > enough for at in found.values()):
            survived.append(mutant.does)
        said = ", ".join("not" if at is None else str(at) for at in found.values())
        say(f"{mutant.does}: found at {said}; must be found in {enough} ({mutant.kind or 'one run'})")
    say(f"NOT FOUND: {'; '.join(survived)}" if survived else f"all {len(MUTANTS)} seeded bugs were found")
    return int(bool(survived))


def fail_without_bug() -> list[str]:
    """Return the tests that fail in the copy as it is; what they find then says nothing."""
    each = {mutant.tests: mutant for mutant in MUTANTS}
    return [
        tests for tests, mutant in each.items() if re.search("^(FAILED|ERROR) ", run_tests(mutant, 1), re.MULTILINE)
    ]


def copy_checkout() -> None:
    """Make a copy with an installation of its own."""
    shutil.rmtree(COPY.parent, ignore_errors=True)
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    subprocess.run([".ci/setup", "python", "dev"], cwd=COPY, check=True)


@contextmanager
def put_into(folder: Path, mutant: Mutant) -> Iterator[None]:
    """Put a bug into a copy, and take it out again.

    Raises
    ------
    ValueError
        The text that it changes is not there once.
    """
    path = folder / mutant.path
    text = path.read_text()
    if text.count(mutant.right) != 1:
        raise ValueError(f"{mutant.path} has {text.count(mutant.right)} times the text that '{mutant.does}' changes")
    path.write_text(text.replace(mutant.right, mutant.wrong))
    try:
        yield
    finally:
        path.write_text(text)


def found_at(mutant: Mutant, seed: int) -> int | None:
    """Return at which repetition the tests find a bug; None where they do not."""
    said = run_tests(mutant, seed)
    if mutant.kind:
        rounds = re.search(rf"round (\d+) of \d+ {mutant.kind}", said)
        return int(rounds.group(1)) if rounds else None
    return 1 if re.search(r"^FAILED ", said, re.MULTILINE) else None


def run_tests(mutant: Mutant, seed: int) -> str:
    """Run the tests of a bug in the copy; return what they say, or nothing where they do not end in time."""
    data = os.environ.get("GOZEN_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    own = {"GOZEN_SEED": str(seed), "GOZEN_TEST_DATA": data, "GOZEN_SEEDED_BUG": mutant.does}
    environment = {**{name: value for name, value in os.environ.items() if name not in OF_THE_RUN}, **own}
    command = [COPY / ".venv/bin/pytest", "-x", "-p", "no:cacheprovider", *mutant.tests.split()]
    try:
        done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        say(f"{mutant.tests}: not within {SECONDS} s")
        return ""
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
