"""Test versions from the files of a repository, an archive and an installation, all made up here, without running git.

Covered: forms and order of versions, branches, detached heads, worktrees, submodules, packed references, tags, a
repository without a commit, references in an unsupported form, edits, archives, another project's repository, the
output of each command. Not covered: real git, builds, the cost of the import (tests/services/test_version).
"""

from __future__ import annotations

import re
import sys
import tomllib
import zlib
from pathlib import Path

import pytest
from packaging.version import Version

import gozen.cli
from gozen.archive.provenance import Provenance
from gozen.quickdb.user_code.user_function import UserCode
from gozen.version import code_version
from gozen.version.find_version import RECORD, code_at, code_of_tree, of_commit, source_tree
from gozen.version.git_checkout import Checkout
from gozen.version.source_digest import SUFFIXES, digest_of
from gozen.version.version_text import Code, next_after, number_of, parsed
from gozen_operator import main as operator
from gozen_operator.observer import observer_main as observer

ROOT = Path(__file__).parents[2]
A, B, C = ("a1" * 20, "b2" * 20, "c3" * 20)


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def tree(root: Path) -> Path:
    """Make the sources of both packages."""
    write(root / "pipelines" / "gozen", {"__init__.py": "", "errors.py": "x = 1\n"})
    write(root / "operator" / "gozen_operator", {"__init__.py": ""})
    return write(root, {"pyproject.toml": '[project]\nname = "gozen"\n'})


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a tree of sources on the branch ``main``, at the commit ``A``."""
    root = tree(tmp_path / "gozen")
    write(root / ".git", {"HEAD": "ref: refs/heads/main\n", "refs/heads/main": f"{A}\n"})
    return root


def test_all_say_the_same_and_the_commit_stands_in_it() -> None:
    version = code_version()
    assert gozen.__version__ == version
    assert Version(version).local == str(version).partition("+")[2]
    assert version != "0.1.0"
    assert re.search(r"\+(g[0-9a-f]{12}|unknown)\.s[0-9a-f]{12}$", version)


@pytest.mark.parametrize("name", ["gozen", "gozen-operator", "gozen-observer"])
def test_each_command_says_it(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--version"])
    command = {"gozen": gozen.cli.main, "gozen-operator": operator.main, "gozen-observer": observer.main}[name]
    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{name} {code_version()}\n"


def test_another_attribute_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gozen.nothing  # noqa: B018 - looking is what is tested


def test_a_commit_gives_another_version(sources: Path) -> None:
    before = code_of_tree(sources)
    write(sources / ".git", {"refs/heads/main": f"{B}\n"})
    after = code_of_tree(sources)
    assert (before.commit, after.commit) == (A, B)
    assert before.digest == after.digest
    assert str(before) != str(after)


@pytest.mark.parametrize(
    "path",
    ["pipelines/gozen/errors.py", "pipelines/gozen/new.py", "pipelines/gozen/a/b.yaml", "operator/gozen_operator/x.py"],
)
def test_an_edit_gives_another_version_and_its_undoing_the_first(sources: Path, path: str) -> None:
    before = code_of_tree(sources)
    file = sources / path
    kept = file.read_text() if file.exists() else None
    write(sources, {path: "x = 2\n"})
    edited = code_of_tree(sources)
    assert edited.commit == before.commit
    assert str(edited) != str(before)
    file.unlink() if kept is None else file.write_text(kept)
    assert code_of_tree(sources) == before


@pytest.mark.parametrize("name", ["__pycache__/errors.cpython-311.pyc", ".errors.py.swp", "errors.py~", "notes.txt"])
def test_what_is_not_installed_gives_none(sources: Path, name: str) -> None:
    before = code_of_tree(sources)
    path = sources / "pipelines" / "gozen" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("y")
    assert code_of_tree(sources) == before


def test_the_digest_counts_all_that_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert {"." + one.rpartition(".")[2] for names in settings.values() for one in names} <= set(SUFFIXES)


def test_a_detached_head(sources: Path) -> None:
    write(sources / ".git", {"HEAD": f"{B}\n"})
    assert Checkout(sources).commit == B


def test_packed_references_give_way_to_loose_ones(sources: Path) -> None:
    packed = f"# pack-refs with: peeled fully-peeled sorted \n{B} refs/heads/main\n{C} refs/tags/v1.0\n^{B}\n"
    write(sources / ".git", {"packed-refs": packed})
    assert Checkout(sources).commit == A
    (sources / ".git" / "refs" / "heads" / "main").unlink()
    assert Checkout(sources).commit == B
    assert Checkout(sources).tags() == {"v1.0": B}
    assert code_of_tree(sources).number == "1.0"


def test_a_worktree_has_a_head_of_its_own_and_shares_the_branches(sources: Path, tmp_path: Path) -> None:
    other = tree(tmp_path / "other")
    own = sources / ".git" / "worktrees" / "other"
    write(other, {".git": f"gitdir: {own}\n"})
    write(own, {"HEAD": "ref: refs/heads/topic\n", "commondir": "../..\n"})
    write(sources / ".git", {"refs/heads/topic": f"{B}\n", "refs/tags/v2": f"{B}\n"})
    assert Checkout(other).commit == B
    assert code_of_tree(other).number == "2"
    assert Checkout(sources).commit == A


def test_a_submodule_names_its_folder_from_where_it_is(tmp_path: Path) -> None:
    root = tree(tmp_path / "site" / "gozen")
    write(root, {".git": "gitdir: ../.git/modules/gozen\n"})
    write(tmp_path / "site" / ".git" / "modules" / "gozen", {"HEAD": f"{C}\n"})
    write(tmp_path / "site" / ".git", {"HEAD": f"{A}\n"})
    assert code_of_tree(root).commit == C


@pytest.mark.parametrize(
    "head",
    ["ref: refs/heads/.invalid\n", "ref: refs/heads/yet-to-come\n", "", "nonsense", "ref: HEAD\n"],
    ids=["reftable", "before the first commit", "empty", "damaged", "a circle"],
)
def test_a_commit_that_files_do_not_tell_is_unknown(sources: Path, head: str) -> None:
    write(sources / ".git", {"HEAD": head})
    found = code_of_tree(sources)
    assert found.commit == ""
    assert str(found) == f"0.1.dev0+unknown.s{found.digest[:12]}"
    # Unless the sources are those of the last installation, which could ask git.
    assert code_of_tree(sources, Code("0.4.dev0", C, found.digest)) == Code("0.4.dev0", C, found.digest)
    assert code_of_tree(sources, Code("0.4.dev0", C, "f" * 64)) == found


def test_a_damaged_git_file_is_no_error(sources: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "other")
    (root / ".git").write_bytes(b"\xff\xfe")
    assert "unknown" in str(code_of_tree(root))


def test_an_annotated_tag_names_its_commit(sources: Path) -> None:
    text = f"object {A}\ntype commit\ntag v0.3.0\n\nThird\n".encode()
    path = sources / ".git" / "objects" / C[:2] / C[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(zlib.compress(b"tag %d\0" % len(text) + text))
    write(sources / ".git", {"refs/tags/v0.3.0": f"{C}\n"})
    assert code_of_tree(sources).number == "0.3.0"
    path.write_bytes(b"damaged")
    assert code_of_tree(sources).number == "0.3.1.dev0"


def test_an_object_of_sha_256_is_a_commit(sources: Path) -> None:
    write(sources / ".git", {"HEAD": "d" * 64})
    assert code_of_tree(sources).commit == "d" * 64


@pytest.mark.parametrize(
    ("tags", "installed", "number"),
    [
        ({}, None, "0.1.dev0"),
        ({"nightly": A, "v-next": A}, None, "0.1.dev0"),
        ({"v0.9.0": B, "v0.10.0": B}, None, "0.10.1.dev0"),
        ({"v1.0rc1": B}, None, "1.0rc2.dev0"),
        ({"v1.0rc1": A, "v1.0": A}, None, "1.0"),
        ({"0.9": A, "v0.10": A, "v7": B}, Code("0.5", A), "0.10"),
        ({"v2.0": B}, Code("1.5.1.dev0", A), "1.5.1.dev0"),  # a branch for repairs of 1.5
        ({"v2.0": B}, Code("1.5.1.dev0", C), "2.1.dev0"),
    ],
)
def test_the_number_is_that_of_a_tag_or_the_next(tags: dict[str, str], installed: Code | None, number: str) -> None:
    found = of_commit(A, tags, installed)
    assert (found.number, found.commit) == (number, A)
    assert str(Version(str(found))) == str(found)


@pytest.mark.parametrize(
    ("number", "chart"),
    [
        ("0.1.dev0", "0.1.0-dev.0+g"),
        ("2.0.1.dev0", "2.0.1-dev.0+g"),
        ("1.0rc2", "1.0.0-rc.2+g"),
        ("3", "3.0.0+g"),
        ("0.2.0", "0.2.0+g"),
    ],
)
def test_forms_for_tags_and_charts(number: str, chart: str) -> None:
    code = Code(number, A, "5" * 64)
    assert code.chart.startswith(chart)
    assert code.tag == str(code).replace("+", "_")
    assert len(code.tag) < 63
    assert parsed(str(code)) == Code(number, A[:12], "5" * 12)


def test_other_versions_are_read_too() -> None:
    assert parsed("0.1.0") == Code("0.1.0")
    assert parsed("1.2+unknown.s0123456789ab\n") == Code("1.2", "", "0123456789ab")
    assert parsed("1.2+debian1") == Code("1.2")
    assert (number_of("v1.2.3"), number_of("release-1"), next_after([])) == ("1.2.3", "", "0.1.dev0")


def test_a_source_archive_says_what_git_has_written_into_it(tmp_path: Path) -> None:
    root = tree(tmp_path)
    form = "node: {}\nref-names: {}\ndescribe-name: {}\n"
    for names, nearest, number in [
        ("HEAD -> main", "", "0.1.dev0"),
        ("HEAD, tag: v0.2.0, origin/main", "v0.2.0", "0.2.0"),
        ("HEAD -> main", "v0.2.0-12-gabc1234", "0.2.1.dev0"),
    ]:
        write(root, {".git_archival.txt": form.format(A, names, nearest)})
        found = code_of_tree(root)
        assert (found.number, found.commit) == (number, A)
        # Somebody has put it into a repository of their own.
        write(root / ".git", {"HEAD": f"{B}\n"})
        assert code_of_tree(root) == found
        (root / ".git" / "HEAD").unlink()
        (root / ".git").rmdir()


def test_the_file_for_archives_says_nothing_in_a_checkout(sources: Path) -> None:
    before = code_of_tree(sources)
    write(sources, {".git_archival.txt": (ROOT / ".git_archival.txt").read_text()})
    assert code_of_tree(sources) == before


def test_a_source_distribution_says_what_its_build_recorded(tmp_path: Path) -> None:
    root = write(tree(tmp_path), {"PKG-INFO": "", f"gozen.egg-info/{RECORD}": f"0.2.0+g{A[:12]}.s{'0' * 12}\n"})
    write(root / ".git", {"HEAD": f"{B}\n"})  # a distribution's
    found = code_of_tree(root)
    assert (found.number, found.commit) == ("0.2.0", A[:12])
    assert found.digest == code_of_tree(tree(tmp_path / "other")).digest


@pytest.mark.parametrize("inside", [".venv/lib/python3.11/site-packages", "pipelines", "vendor/pipelines"])
def test_a_repository_of_somebody_else_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    write(tmp_path, {"pyproject.toml": '[project]\nname = "theirs"\n'})
    write(tmp_path / ".git", {"HEAD": f"{B}\n"})
    places = tmp_path / inside
    write(places / "gozen", {"__init__.py": ""})
    write(places / "gozen-0.2.0.dist-info", {"METADATA": "Name: gozen\nVersion: 0.2.0\n", RECORD: f"0.2.0+g{A[:12]}\n"})
    assert source_tree(places / "gozen") is None
    monkeypatch.setattr(sys, "path", [str(places), *sys.path])
    found = code_at(places / "gozen")
    assert (found.number, found.commit) == ("0.2.0", A[:12])
    assert found.digest == digest_of([places / "gozen"])


def test_an_installation_elsewhere_is_not_asked(tmp_path: Path) -> None:
    write(tmp_path / "gozen", {"__init__.py": ""})
    assert str(code_at(tmp_path / "gozen")).startswith("0.0.dev0+unknown.s")


def test_the_version_is_in_the_key_of_a_result_and_in_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    before = UserCode.of(len).digest
    assert UserCode.of(len).digest == before
    monkeypatch.setattr("gozen.quickdb.user_code.user_function.code_version", lambda: "another")
    assert UserCode.of(len).digest != before
    cards = Provenance(code_version=code_version()).as_cards()
    assert cards[0][:2] == ("GZVERS", code_version())
    assert len(f"GZVERS  = '{code_version()}' / {cards[0][2]}") <= 80
