"""The science platform: how long a person waits on a real node, warm jobs against a floor, and a hub with many users.

    sudo python benchmarks/science_platform.py [--json FILE] [--only waits,warm,users]
        [--rounds 3] [--rows 4_000_000] [--repeats 7] [--users 500] [--seconds 60]

`waits` starts labs and bare pods in turn, and first jobs and bare workers; `warm` asks a diagram on the workers of a
lab and in a bare pod in turns; both need a node and root. `users` needs only an API server.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.developer_platform import archive_of_the_demo
from tests.cluster.node import Node
from tests.cluster.platform_release import Platform, platform
from tests.services.chromium import chromium

from bare_pods import BARE
from goals import Goal, conclude
from gozen.archive.stores.open_store import open_store
from lab_waits import goals_of_waits, started_lab, waits
from many_users import goals_of_many_users, many_users
from survey_table import made
from timing import say
from warm_jobs import files_of, goals_of_warm_jobs, warm_jobs

SECTIONS = ("waits", "warm", "users")
USER = "hoshi"


@contextmanager
def platform_with_a_survey(folder: Path, rows: int) -> Iterator[tuple[Platform, list[str]]]:
    """Start a node with the platform, whose archive has the night of the demo and, where asked, a survey."""
    archive = folder / "archive"
    shutil.copytree(archive_of_the_demo(), archive)
    files = []
    if rows:
        made(open_store(archive), rows)
        files = files_of(archive)
    say("a node starts")
    with ExitStack() as stack:
        node = Node(folder)
        stack.callback(node.stop)
        say("the platform starts")
        (folder / "platform").mkdir()
        place = stack.enter_context(platform(node, folder / "platform", archive))
        node.kubectl("create", "namespace", BARE, check=True)
        yield place, files


def on_a_node(folder: Path, sections: list[str], given: argparse.Namespace) -> tuple[list[Goal], dict[str, Any]]:
    """Measure what needs a node."""
    goals, figures = [], {}
    with platform_with_a_survey(folder, given.rows if "warm" in sections else 0) as (place, files):
        token = token_of(place)
        if "waits" in sections:
            figures["waits_s"] = waits(place, USER, token, given.rounds)
            goals += goals_of_waits(figures["waits_s"])
        else:
            started_lab(place, USER, token)
        if "warm" in sections:
            figures["warm"] = warm_jobs(place, USER, files, given.repeats)
            goals += goals_of_warm_jobs(figures["warm"])
    return goals, figures


def token_of(place: Platform) -> str:
    """Log the user in; return a token."""
    with chromium() as browser:
        page = browser.new_context().new_page()
        place.log_in(page, USER)
        page.wait_for_url("**/services/portal/**", timeout=60_000)
        return place.token_of(page)


def main() -> int:
    """Measure what is asked for, and print the goals."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=Path, metavar="FILE")
    options.add_argument("--only", default=",".join(SECTIONS), metavar="SECTIONS")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rows", type=int, default=4_000_000)
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--users", type=int, default=500)
    options.add_argument("--seconds", type=float, default=60.0, help="for which users look at pages")
    given = options.parse_args()
    sections = given.only.split(",")
    if unknown := set(sections) - set(SECTIONS):
        options.error(f"--only does not know {', '.join(sorted(unknown))}; it knows {', '.join(SECTIONS)}")
    goals: list[Goal] = []
    figures: dict[str, Any] = {}
    with TemporaryDirectory(prefix="gozen-platform-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if {"waits", "warm"} & set(sections):
            goals, figures = on_a_node(folder, sections, given)
        if "users" in sections:
            figures["users"] = many_users(folder / "users", given.users, given.seconds)
            goals += goals_of_many_users(figures["users"])
    return conclude(goals, figures, given.json)


if __name__ == "__main__":
    sys.exit(main())
