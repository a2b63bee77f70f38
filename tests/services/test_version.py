"""Versions of real checkouts and builds of one commit: by git, an installation, archives and wheels.

Covered: an untagged shallow clone, an editable installation after a commit, an edit and a tag, a worktree, a wheel, a
source distribution, `git archive`, a build without git, a version that is given; an import that starts no process. The
checkout contains only the code of versions. Made-up repositories are in tests/unit/test_version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

from gozen.version.version_text import SHOWN, parsed

ROOT = Path(__file__).parents[2]
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", ".gitignore", ".gitattributes", ".git_archival.txt")
PACKAGES = ("pipelines/gozen/__init__.py", "pipelines/gozen/version", "operator/gozen_operator/__init__.py")
BUILD = "import sys, setuptools.build_meta as build; print(getattr(build, 'build_' + sys.argv[1])(sys.argv[2]))"
ASK = """
import site, subprocess, sys
def refuse(*words, **more): raise AssertionError(f"started {words}")
subprocess.Popen = refuse
site.addsitedir(sys.argv[1])
import gozen
assert "gozen.version" not in sys.modules and "importlib.metadata" not in sys.modules, "an import has to cost nothing"
print(gozen.__version__)
"""
IDENTITY = {f"GIT_{who}_{what}": "a@b.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def run(*words: str | Path, cwd: Path, **more: str) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(words, cwd=cwd, env=ENVIRONMENT | more, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def git(where: Path, *words: str | Path) -> str:
    return run("git", *words, cwd=where)


def commit(where: Path) -> str:
    """Return the commit that is checked out, as a version has it."""
    return git(where, "rev-parse", "HEAD")[:SHOWN]


def build(where: Path, kind: str, to: Path, **more: str) -> Path:
    """Build a wheel, an editable wheel or a source distribution without a network."""
    to.mkdir(exist_ok=True)
    return to / run(sys.executable, "-c", BUILD, kind, to, cwd=where, **more).splitlines()[-1]


def installed(wheel: Path, to: Path) -> Path:
    """Put what is in a wheel where an installer does."""
    with zipfile.ZipFile(wheel) as whole:
        whole.extractall(to)
    return to


def version(site: Path) -> str:
    """Ask a new interpreter, which has no other packages."""
    return run(sys.executable, "-S", "-c", ASK, site, cwd=site)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a shallow clone without tags."""
    origin = tmp_path / "origin"
    for name in (*FILES, *PACKAGES):
        to = origin / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, to)
    git(origin, "init", "--quiet", "--initial-branch=main")
    for message in ("One", "Two"):
        git(origin, "add", ".")
        git(origin, "commit", "--quiet", "--allow-empty", f"--message={message}")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin}", "checkout")
    return tmp_path / "checkout"


def test_an_editable_installation_follows_commits_edits_and_tags(checkout: Path, tmp_path: Path) -> None:
    site = installed(build(checkout, "editable", tmp_path / "wheels"), tmp_path / "site")
    first = version(site)
    assert first == f"0.1.dev0+g{commit(checkout)}.s{parsed(first).digest}"
    assert str(Version(first)) == first

    module = checkout / "pipelines" / "gozen" / "added.py"
    module.write_text("x = 1\n")  # of which git knows nothing
    edited = version(site)
    assert parsed(edited).commit == parsed(first).commit
    assert parsed(edited).digest != parsed(first).digest

    git(checkout, "add", ".")
    assert version(site) == edited  # what is staged is as much an edit as before
    git(checkout, "commit", "--quiet", "--message=Add a module")
    committed = version(site)
    assert committed == f"0.1.dev0+g{commit(checkout)}.s{parsed(edited).digest}"
    assert committed != edited

    git(checkout, "gc", "--quiet", "--prune=now")
    assert version(site) == committed
    git(checkout, "tag", "--annotate", "v0.2.0", "--message=Release")
    assert version(site) == committed.replace("0.1.dev0", "0.2.0")
    git(checkout, "checkout", "--quiet", "--detach", "HEAD")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=Go on")
    assert version(site) == f"0.2.1.dev0+g{commit(checkout)}.s{parsed(edited).digest}"


def test_one_commit_has_one_version_however_it_comes(checkout: Path, tmp_path: Path) -> None:
    wheel = build(checkout, "wheel", tmp_path / "wheels")
    expected = version(installed(wheel, tmp_path / "site"))
    assert parsed(expected).commit == commit(checkout)
    assert wheel.name == f"gozen-{expected}-py3-none-any.whl"

    git(checkout, "worktree", "add", "--quiet", tmp_path / "worktree")
    assert version(installed(build(tmp_path / "worktree", "editable", tmp_path / "w"), tmp_path / "s")) == expected

    source = build(checkout, "sdist", tmp_path / "sdist")
    with tarfile.open(source) as whole:
        whole.extractall(tmp_path, filter="data")
    unpacked = tmp_path / source.name.removesuffix(".tar.gz")
    git(unpacked, "init", "--quiet")  # as a distribution imports it
    git(unpacked, "add", ".")
    git(unpacked, "commit", "--quiet", "--message=Import")
    assert build(unpacked, "wheel", tmp_path / "again").name == wheel.name
    assert version(unpacked / "pipelines") == expected

    git(checkout, "archive", f"--output={tmp_path / 'archive.tar'}", "HEAD")
    with tarfile.open(tmp_path / "archive.tar") as whole:
        whole.extractall(tmp_path / "archive", filter="data")
    assert build(tmp_path / "archive", "wheel", tmp_path / "again").name == wheel.name
    assert version(tmp_path / "archive" / "pipelines") == expected
    assert build(checkout, "wheel", tmp_path / "without git", PATH="").name == wheel.name


def test_a_release_has_a_plain_number_and_its_commit_beside_it(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "tag", "--annotate", "v0.2.0", "--message=Release")
    git(checkout, "tag", "data-2026")
    wheel = build(checkout, "wheel", tmp_path)
    assert wheel.name == "gozen-0.2.0-py3-none-any.whl"
    assert version(installed(wheel, tmp_path / "site")).startswith(f"0.2.0+g{commit(checkout)}.s")
    with (checkout / "pipelines" / "gozen" / "__init__.py").open("a") as file:
        file.write("x = 1\n")
    assert build(checkout, "wheel", tmp_path).name.startswith(f"gozen-0.2.0+g{commit(checkout)}.s")


def test_an_image_has_the_version_that_it_is_given(checkout: Path, tmp_path: Path) -> None:
    expected = run(sys.executable, "-S", "-m", "gozen.version", cwd=checkout / "pipelines")
    shutil.rmtree(checkout / ".git")  # no part of the context of an image
    (checkout / ".git_archival.txt").unlink()
    given = build(checkout, "wheel", tmp_path, SETUPTOOLS_SCM_PRETEND_VERSION_FOR_GOZEN=expected)
    assert given.name == f"gozen-{expected}-py3-none-any.whl"
    assert version(installed(given, tmp_path / "site")) == expected
    unknown = version(installed(build(checkout, "wheel", tmp_path), tmp_path / "other"))
    assert unknown == f"0.0.dev0+unknown.s{parsed(expected).digest}"
