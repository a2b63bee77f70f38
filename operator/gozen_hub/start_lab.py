"""``gozen-lab``: prepare the user's home, then run the lab in this process.

It copies the notebooks that the home does not have yet. A notebook that the user has changed, or has deleted on
purpose, is not touched: the names of copied notebooks are stored in the home.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gozen.sharing.lab import JUPYTER as SHARING
from gozen_hub.full_home import RUNTIME, folders_elsewhere
from gozen_hub.lab_memory import STARTUP, note_start

VARIABLE = "GOZEN_NOTEBOOKS"
"""Environment variable with the folder of the notebooks."""
_RECORD = ".gozen-notebooks.json"
_log = logging.getLogger(__name__)


def main() -> None:
    """Run ``jupyterhub-singleuser`` in this process."""
    logging.basicConfig(level=logging.INFO)
    if RUNTIME in os.environ:  # in a pod, whose container the system ends if its memory is used up
        note_start(Path(os.environ[RUNTIME]))
        os.environ.setdefault("PYTHONSTARTUP", str(STARTUP))
    os.environ.update(folders_elsewhere(Path.home(), os.environ))
    source = os.environ.get(VARIABLE)
    if source:
        give_notebooks(Path(source), Path.home() / "notebooks")
    os.environ.update(jupyter_paths(os.environ))
    command = [sys.executable, "-m", "jupyterhub.singleuser", *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 - signals must reach the lab itself


def jupyter_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which JupyterLab finds Gozen's settings and extensions before the user's own.

    They are the extension for activity, no requests for news or updates to hosts outside, no hidden folder as trash,
    and the dialog that shares files.
    """
    folders = {"JUPYTER_CONFIG_PATH": [Path(__file__).with_name("jupyter"), SHARING], "JUPYTER_PATH": [SHARING]}
    return {
        name: os.pathsep.join([*map(str, ours), *filter(None, [environment.get(name)])])
        for name, ours in folders.items()
    }


def give_notebooks(source: Path, target: Path) -> list[str]:
    """Copy the notebooks that the user never had; return their names.

    A full or read-only home must not keep the lab from starting, so a failure is only logged.
    """
    if not source.is_dir():
        _log.warning("there are no notebooks to copy: the folder %s does not exist; see the setting notebooks", source)
    record = target / _RECORD
    known = _known(record)
    new = sorted(one.name for one in source.glob("*.ipynb") if one.name not in known)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in new:
            if not (target / name).exists():
                _write(target / name, (source / name).read_bytes())
        if new:
            _write(record, json.dumps(sorted(known.union(new))).encode())
    except OSError as error:
        _log.warning("the notebooks were not copied to %s: %s", target, error)
        return []
    return new


def _known(record: Path) -> set[str]:
    """Return the names of the notebooks that were copied before; an empty set if the record is missing or damaged.

    Then deleted notebooks are copied again; existing ones are never overwritten.
    """
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError):
        return set()
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def _write(path: Path, data: bytes) -> None:
    # Complete under its name or not there: a full home must not leave half a file.
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
