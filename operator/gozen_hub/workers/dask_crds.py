"""Take Dask's CustomResourceDefinitions out of the wheel of dask-kubernetes: ``python -m ... FOLDER``."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from gozen.errors import BadRequest

_IN_WHEEL = Path("operator/deployment/helm/dask-kubernetes-operator/crds")


def crd_files() -> list[Path]:
    """Return the files in the installed package.

    Raises
    ------
    BadRequest
        The package is not installed, or its wheel has no such files.
    """
    spec = find_spec("dask_kubernetes")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path for folder in folders for path in sorted((Path(folder) / _IN_WHEEL).glob("*.yaml"))]
    if not found:
        raise BadRequest("the package dask-kubernetes with Dask's resources is missing: pip install 'gozen[hub]'")
    return found


def write_crds(folder: Path) -> list[Path]:
    """Copy the files into a folder; return their new paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, folder / path.name)) for path in crd_files()]


if __name__ == "__main__":
    for written in write_crds(Path(sys.argv[1])):
        print(written)  # noqa: T201 - what the command made
