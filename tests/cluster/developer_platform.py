"""The additions of ``make platform`` to the node: the chart with simulated telescope and hub, and example data."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.suite.clock import say

from gozen.version import code_version, is_this_code

from .access import ADMIN
from .node import Node
from .own_images import ROOT
from .platform_release import PLACE, Platform, PlatformRelease, platform
from .platform_values import ADMIN as ADMINISTRATOR
from .platform_values import USERS
from .processes import StartError
from .small_observatory import camera, observatory_values

TUTORIAL = ROOT / "docs" / "tutorials" / "apply-your-first-observation.md"
DEMO = ROOT / "build" / "platform"
"""The night of the demo and a survey, which are kept for the next start."""
SURVEY = ("--objects", "100000")
"""How large a survey is simulated, for the notebooks that ask one."""
TEXT = """\
The platform is up: Gozen with a simulated telescope, and the hub. In another terminal:

  export KUBECONFIG={{kubeconfig}}
  export PATH={{programs}}:$PATH
  kubectl apply -f {observation}
  kubectl wait obs/orion --for=condition=Succeeded --timeout=900s

The tutorial "Apply your first observation" explains it, and what comes next. In a browser on this computer:

  {url}
  log in as {users} with the password {password}
  or as the administrator {admin} with the password {admin_password}

Logs are in {{logs}}. Ctrl-C here ends the platform, and all that is in it.
"""


@dataclass(frozen=True)
class DeveloperPlatform:
    """A running platform.

    Parameters
    ----------
    release
        The platform itself.
    kubeconfig
        Connects to the namespace of the release.
    text
        What the developer reads; `kubeconfig`, `programs` and `logs` are to be filled in.
    """

    release: Platform
    kubeconfig: Path
    text: str


@contextmanager
def developer_platform(node: Node, folder: Path, archive: Path) -> Iterator[DeveloperPlatform]:
    """Install the platform with a simulated telescope and a copy of an archive; wait until all of it is ready."""
    password = secrets.token_hex(8)
    with platform(node, folder, archive, password=password, more=values()) as release:
        kubeconfig = node.kubeconfig_for("platform", node.users[ADMIN].token, PLACE)
        yield DeveloperPlatform(release, kubeconfig, text_of(release, folder))


def text_of(release: PlatformRelease, folder: Path) -> str:
    """Return what the developer reads, and write the Observation of which it speaks into the folder."""
    observation = folder / "orion.yaml"
    observation.write_text(_observation())
    people = {"users": " or ".join(USERS), "password": release.password}
    people |= {"admin": ADMINISTRATOR, "admin_password": release.admin_password}
    return TEXT.format(observation=observation, url=release.url, **people)


def values() -> dict[str, Any]:
    """Return values for a telescope whose numbers of exposures begin above those of the night that is there."""
    values = observatory_values()
    values["observer"]["observatory"]["first_exposure_id"] = 1001
    return values


def archive_of_the_demo() -> Path:
    """Return an archive with a night, of the camera that the release has, and a survey; it is made once."""
    folder, done_by = DEMO / "demo", DEMO / "done-by"
    if not done_by.is_file() or not is_this_code(done_by.read_text()):
        say("simulating and reducing a small night, and a survey")
        shutil.rmtree(DEMO, ignore_errors=True)
        DEMO.mkdir(parents=True)
        profile = DEMO / "small.yaml"
        profile.write_text(camera())
        gozen = Path(sys.executable).parent / "gozen"
        words = ("demo", "--folder", folder, "--sensors", "2", "--dithers", "1", "--nframe", "12")
        for one in (words, ("--archive", folder / "archive", "simulate", "objects", *SURVEY)):
            done = subprocess.run([gozen, *one], env={**os.environ, "GOZEN_INSTRUMENT": str(profile)}, check=False)
            if done.returncode != 0:
                raise StartError(f"gozen {' '.join(map(str, one))} ended with {done.returncode}; see above why")
        done_by.write_text(code_version())
    return folder / "archive"


def _observation() -> str:
    """Return the Observation of the tutorial."""
    (found,) = re.findall(r'```yaml title="orion.yaml"\n(.*?)```', TUTORIAL.read_text("utf-8"), re.DOTALL)
    return str(found)
