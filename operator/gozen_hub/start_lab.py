"""``gozen-lab``: prepare the user's home, then become the lab.

It copies the notebooks that the home does not have yet. A notebook that the user has changed, or has deleted on
purpose, is not touched: the names of those that were copied once are remembered.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path

VARIABLE = "GOZEN_NOTEBOOKS"
"""Environment variable with the folder of the notebooks."""
_RECORD = ".gozen-notebooks.json"
_log = logging.getLogger(__name__)


def main() -> None:
    """Run ``jupyterhub-singleuser`` in this process."""
    logging.basicConfig(level=logging.INFO)
    source = os.environ.get(VARIABLE)
    if source:
        give_notebooks(Path(source), Path.home() / "notebooks")
    # The extension for activity, no requests for news or updates to hosts outside, and no hidden folder as trash.
    os.environ["JUPYTER_CONFIG_PATH"] = str(Path(__file__).with_name("jupyter"))
    command = [sys.executable, "-m", "jupyterhub.singleuser", *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 - signals must reach the lab itself


def give_notebooks(source: Path, target: Path) -> list[str]:
    """Copy the notebooks that the user never had; return their names.

    A full or read-only home must not keep the lab from starting, so a failure is only logged.
    """
    record = target / _RECORD
    try:
        known = set(json.loads(record.read_text())) if record.exists() else set()
        new = sorted(one.name for one in source.glob("*.ipynb") if one.name not in known)
        target.mkdir(parents=True, exist_ok=True)
        for name in new:
            if not (target / name).exists():
                _copy(source / name, target / name)
        if new:
            record.write_text(json.dumps(sorted(known.union(new))))
    except (OSError, ValueError) as error:
        _log.warning("the notebooks were not copied to %s: %s", target, error)
        return []
    return new


def _copy(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    part.replace(target)


if __name__ == "__main__":
    main()
