"""``gozen-hub``: JupyterHub with Gozen's configuration, in the pod of a cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from traitlets.config import Config

from gozen.errors import GozenError
from gozen_hub.configure import configure
from gozen_hub.hub_settings import VARIABLE, HubSettings, read_hub_settings

_USAGE = f"""gozen-hub: runs JupyterHub with Gozen's configuration.

{VARIABLE} is the path of the hub's settings file. Arguments are those of jupyterhub.
"""


def main() -> None:
    """Check the settings of the hub, and replace this process by ``jupyterhub``."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(_USAGE)  # noqa: T201 - that is what was asked for
        return
    try:
        checked_settings(Path(os.environ.get(VARIABLE, "/etc/gozen/hub.yaml")))
    except GozenError as error:  # one line, instead of JupyterHub's traceback
        print(f"gozen-hub: {error.name}: {error}", file=sys.stderr)  # noqa: T201 - the line that people read
        sys.exit(error.exit_code)
    command = hub_command(sys.argv[1:])
    os.execv(command[0], command)  # noqa: S606 - signals must reach the hub itself


def checked_settings(path: Path) -> HubSettings:
    """Read the settings, and make the configuration without starting a hub, so that a missing secret is found too.

    Raises
    ------
    BadRequest
        A setting is wrong, or a file with a secret cannot be read, is empty or too short.
    """
    found = read_hub_settings(path)
    configure(Config(), found)
    return found


def hub_command(arguments: list[str]) -> list[str]:
    """Return the command line of JupyterHub; a database of an older JupyterHub is copied, and upgraded."""
    config = Path(__file__).with_name("jupyterhub_config.py")
    return [sys.executable, "-m", "jupyterhub", f"--config={config}", "--upgrade-db", *arguments]
