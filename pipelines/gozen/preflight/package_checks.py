"""Check Python and the packages that are installed with Gozen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata

from gozen.preflight.finding import Finding


def python() -> Finding:
    """Check the version of Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info >= (3, 11)
    return Finding("Python", "ok" if enough else "missing", version, "" if enough else "install Python 3.11 or newer")


def packages() -> Iterator[Finding]:
    """Check each package that Gozen requires."""
    from packaging.requirements import Requirement

    for text in metadata.requires("gozen") or []:
        required = Requirement(text)
        if required.marker is None or required.marker.evaluate({"extra": ""}):
            yield _package(required.name, str(required.specifier), required.specifier.contains)


def _package(name: str, specifier: str, fits: object) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", f"pip install '{name}{specifier}'")
    if callable(fits) and not fits(version, prereleases=True):
        return Finding(name, "missing", f"{version}, needs {specifier}", f"pip install --upgrade '{name}{specifier}'")
    return Finding(name, "ok", version)


def extras() -> Iterator[Finding]:
    """Check each optional group of packages."""
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in metadata.requires("gozen") or []]
    for extra in metadata.metadata("gozen").get_all("Provides-Extra") or []:
        names = [need.name for need in needs if need.marker and _only_for(need, extra)]
        absent = [name for name in names if not _installed(name)]
        if absent:
            yield Finding(f"extra {extra}", "optional", f"without {', '.join(absent)}", f"pip install 'gozen[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _only_for(need: object, extra: str) -> bool:
    marker = getattr(need, "marker", None)
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
