"""Find the version of the code: from a git checkout, a source archive, or the record of an installation."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from gozen.version import source_digest
from gozen.version.git_checkout import Checkout
from gozen.version.version_text import Code, next_after, number_of, order_of, parsed

RECORD = "code_version.txt"
"""File that a build adds to the metadata of the distribution, because a release's version number has no commit."""

ARCHIVAL = ".git_archival.txt"
_NAME = re.compile(r'^name = "gozen"$', re.MULTILINE)
_UNKNOWN = "0.0.dev0"


def code_at(package: Path) -> Code:
    """Return the version of a folder of the package ``gozen``.

    Parameters
    ----------
    package
        The folder ``gozen``, in a source tree or among installed packages.
    """
    root = source_tree(package)
    if root is not None:
        return code_of_tree(root, _installed())
    digest = source_digest.digest_of([package, package.parent / "gozen_operator"])
    found = _installed(package) or Code(_UNKNOWN)
    return Code(found.number, found.commit, digest or found.digest)


def source_tree(package: Path) -> Path | None:
    """Return the root of the source tree that contains a package, or None.

    Folders further up are not searched, because an installation may be inside the checkout of another project.
    """
    root = package.parents[1]
    with contextlib.suppress(OSError):
        if package.parent.name == "pipelines" and _NAME.search((root / "pyproject.toml").read_text()):
            return root
    return None


def code_of_tree(root: Path, installed: Code | None = None) -> Code:
    """Return the version of a source tree.

    Parameters
    ----------
    installed
        Version that the last installation recorded. The commit may have changed since.
    """
    digest = source_digest.digest_of([root / "pipelines" / "gozen", root / "operator" / "gozen_operator"])
    # The source archive first: it may have been added to another git repository, such as that of a distribution.
    found = _of_archive(root)
    if found is None and (root / ".git").exists():
        checkout = Checkout(root)
        found = of_commit(checkout.commit, checkout.tags(), installed)
    if (found is None or not found.commit) and installed is not None and installed.same_digest(digest):
        found = installed
    found = found or Code(_UNKNOWN)
    return Code(found.number, found.commit, digest)


def of_commit(commit: str, tags: Mapping[str, str], installed: Code | None) -> Code:
    """Return the version of a commit: of its tag, else of its installation, else the next one after the highest tag.

    Parameters
    ----------
    tags
        All known tags, with their commits.
    installed
        Version that the last installation recorded; git was available then to find the nearest tag.
    """
    here = [tag for tag, one in tags.items() if commit and one == commit and number_of(tag)]
    if here:
        return Code(max(map(number_of, here), key=order_of), commit)
    if installed is not None and installed.same_commit(commit):
        return Code(installed.number, commit)
    return Code(next_after(tags), commit)


def _of_archive(root: Path) -> Code | None:
    """Return the version that a build or git has written into a source archive; None if this is not one."""
    with contextlib.suppress(OSError):
        if (root / "PKG-INFO").is_file():
            return parsed((root / "gozen.egg-info" / RECORD).read_text())
    with contextlib.suppress(OSError):
        lines = (line.partition(": ") for line in (root / ARCHIVAL).read_text().splitlines())
        said = {name: text for name, _, text in lines}
        commit, nearest = said.get("node", ""), re.sub(r"-\d+-g[0-9a-f]+$", "", said.get("describe-name", ""))
        if commit and "$" not in commit:
            here = re.findall(r"tag: ([^,\s]+)", said.get("ref-names", ""))
            return of_commit(commit, {nearest: "", **dict.fromkeys(here, commit)}, None)
    return None


def _installed(package: Path | None = None) -> Code | None:
    """Return the version that the installation recorded; with ``package``, only if it is installed there."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        found = metadata.distribution("gozen")
        if package is None or Path(str(found.locate_file("gozen"))).resolve() == package.resolve():
            return parsed(found.read_text(RECORD) or found.version)
    return None
