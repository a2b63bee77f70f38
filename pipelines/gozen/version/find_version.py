"""Find a version in a checkout, in a source archive, or in the record of an installation."""

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
"""What a build writes beside the metadata of the distribution: a release's own version has no commit."""

ARCHIVAL = ".git_archival.txt"
_NAME = re.compile(r'^name = "gozen"$', re.MULTILINE)
_UNKNOWN = "0.0.dev0"


def code_at(package: Path) -> Code:
    """Return the code in a folder of the package ``gozen``.

    Parameters
    ----------
    package
        The folder ``gozen``, in a tree of sources or in a folder of installed packages.
    """
    root = source_tree(package)
    if root is not None:
        return code_of_tree(root, _installed())
    digest = source_digest.digest_of([package, package.parent / "gozen_operator"])
    found = _installed(package) or Code(_UNKNOWN)
    return Code(found.number, found.commit, digest or found.digest)


def source_tree(package: Path) -> Path | None:
    """Return the tree of sources that a package lies in, or None.

    Folders further up are not looked at: an installation may well lie in somebody else's checkout.
    """
    root = package.parents[1]
    with contextlib.suppress(OSError):
        if package.parent.name == "pipelines" and _NAME.search((root / "pyproject.toml").read_text()):
            return root
    return None


def code_of_tree(root: Path, installed: Code | None = None) -> Code:
    """Return the code of a tree of sources.

    Parameters
    ----------
    installed
        What its last installation recorded. The commit may have changed since.
    """
    digest = source_digest.digest_of([root / "pipelines" / "gozen", root / "operator" / "gozen_operator"])
    # What came as an archive may have been put into another repository since, of a distribution for instance.
    found = _of_archive(root)
    if found is None and (root / ".git").exists():
        checkout = Checkout(root)
        found = of_commit(checkout.commit, checkout.tags(), installed)
    if (found is None or not found.commit) and installed is not None and installed.same_digest(digest):
        found = installed
    found = found or Code(_UNKNOWN)
    return Code(found.number, found.commit, digest)


def of_commit(commit: str, tags: Mapping[str, str], installed: Code | None) -> Code:
    """Decide the number of a commit: that of a tag on it, else the one it was installed as, else what comes next.

    Parameters
    ----------
    tags
        All tags that are known, with their commits.
    installed
        The last installation, which could ask git for the nearest tag.
    """
    here = [tag for tag, one in tags.items() if commit and one == commit and number_of(tag)]
    if here:
        return Code(max(map(number_of, here), key=order_of), commit)
    if installed is not None and installed.same_commit(commit):
        return Code(installed.number, commit)
    return Code(next_after(tags), commit)


def _of_archive(root: Path) -> Code | None:
    """Return what a build or git has written into a source archive."""
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
    """Return what the installation has recorded, of this package alone where one is given."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        found = metadata.distribution("gozen")
        if package is None or Path(str(found.locate_file("gozen"))).resolve() == package.resolve():
            return parsed(found.read_text(RECORD) or found.version)
    return None
