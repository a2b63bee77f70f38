"""Many users of one hub: a real hub on a real API server and scheduler, with nodes and pods that kwok fakes.

All pods say that their address is the loopback, where one small server answers for all labs. The proxy of the hub is
that of the tests, which passes nothing on: pages come from the hub alone. The users have namespaces and homes before
they click. First all start their labs, as in the morning; then all labs run and report their activity, and users look
at pages of the hub. A request counts from the moment at which it was due, so that a hub that falls behind is seen.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from kubernetes import client, config
from tests.cluster.api_server import ApiServer
from tests.cluster.fake_kubelets import make_home
from tests.cluster.hub_alone import PREFIX, HubAlone, hub_alone
from tests.cluster.hub_person import Person

from fake_nodes import SERVER_FLAGS, fake_nodes, pod_goes, pod_runs
from goals import Goal
from timing import say

HUB_MB, PAGE_S = 500.0, 1.0
NODES = 20
START_S = 600
CLICKS = 64
"""Users that wait for their labs at the same time."""
PAGES = ("home", "token")
PAGE_EACH_S, PORTAL_EACH_S, ACTIVITY_EACH_S = 60.0, 60.0, 300.0
"""How often a user looks at a page of the hub, the portal asks who a user is, and a lab reports its activity."""
Act = Callable[[], Any]


def many_users(folder: Path, number: int, seconds: float) -> dict[str, Any]:
    """Return what so many users find, who look at pages for some seconds."""
    names = tuple(f"user-{one:03d}" for one in range(number))
    for part in ("api", "hub"):
        (folder / part).mkdir(parents=True)
    server = ApiServer(folder / "api", SERVER_FLAGS)
    with ExitStack() as stack:
        stack.callback(server.stop)
        hub = stack.enter_context(hub_alone(server, folder / "hub", names, START_S))
        kwok = fake_nodes(server, folder, NODES, [pod_runs("127.0.0.1"), pod_goes()])
        stack.callback(kwok.stop)
        say(f"{number} users get namespaces and homes")
        make_places(hub, names)
        idle_mb = memory_mb(hub, "VmRSS")
        people = logged_in(hub, names)
        spawn_s = started(people)
        say(f"{number} labs run after {spawn_s:.0f} s; users look at pages")
        pages = looks(people, seconds)
        return {
            "users": number,
            "spawn_s": spawn_s,
            "labs_per_s": number / spawn_s,
            "page_s": {name: quantiles(values) for name, values in pages.items()},
            "hub_mb": {"idle": idle_mb, "all labs run": memory_mb(hub, "VmRSS"), "at most": memory_mb(hub, "VmHWM")},
        }


def make_places(hub: HubAlone, names: Sequence[str]) -> None:
    """Make namespaces by the hub's service for them, and homes; nothing here would join a home with its volume."""
    api = client.CoreV1Api(config.new_client_from_config(str(hub.server.kubeconfig)))
    for name in names:
        status, said = hub.users.ask(f"{PREFIX}-{name}", name)
        if status != 200:
            raise RuntimeError(f"no namespace for {name}: {said}")
        make_home(api, f"{PREFIX}-{name}")


def logged_in(hub: HubAlone, names: Sequence[str]) -> list[Person]:
    """Log all users in, a few at a time."""
    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        people = list(pool.map(hub.person, names))
    say(f"{len(people)} users have logged in within {time.monotonic() - begin:.0f} s")
    return people


def started(people: Sequence[Person]) -> float:
    """Let all users start their labs; return the seconds until the last one is ready."""

    def start(person: Person) -> None:
        status, said = person.call("POST", f"users/{person.name}/server", {"profile": "standard"})
        if status not in (201, 202):
            raise RuntimeError(f"the lab of {person.name} does not start: {status} {said}")
        while not (lab := person.lab) or not lab["ready"]:
            if lab is None:
                raise RuntimeError(f"the lab of {person.name} did not start; the log of the hub says why")
            time.sleep(1)

    begin = time.monotonic()
    with ThreadPoolExecutor(CLICKS) as pool:
        list(pool.map(start, people))
    return time.monotonic() - begin


def looks(people: Sequence[Person], seconds: float) -> dict[str, list[float]]:
    """Let users, portal and labs ask the hub, each at its pace; return the seconds of each request."""
    turns = itertools.cycle(people)
    pages = itertools.cycle(PAGES)

    def look() -> Act:
        person, page = next(turns), next(pages)
        return lambda: required(person.page(page)[0], f"{page} of {person.name}")

    def ask() -> Act:
        person = next(turns)
        return lambda: required(person.call("GET", "user")[0], person.name)

    def report() -> Act:
        person, now = next(turns), datetime.now(UTC).isoformat()
        body = {"last_activity": now, "servers": {"": {"last_activity": now}}}
        return lambda: required(person.call("POST", f"users/{person.name}/activity", body)[0], person.name)

    paces = {"page": (PAGE_EACH_S, look), "portal": (PORTAL_EACH_S, ask), "activity": (ACTIVITY_EACH_S, report)}
    due = sorted(
        (moment, name)
        for name, (each_s, _) in paces.items()
        for moment in np.arange(0, seconds, each_s / len(people)).tolist()
    )
    found: dict[str, list[float]] = {name: [] for name in paces}
    with ThreadPoolExecutor(CLICKS) as pool:
        for name, spent in _at_their_time(pool, ((moment, name, paces[name][1]()) for moment, name in due)):
            found[name].append(spent.result())
    return found


def _at_their_time(pool: ThreadPoolExecutor, acts: Iterator[tuple[float, str, Act]]) -> list[tuple[str, Future[float]]]:
    """Begin each act when it is due; return for each the seconds from then to its end."""
    begin = time.monotonic()

    def run(moment: float, act: Act) -> float:
        act()
        return time.monotonic() - begin - moment

    found = []
    for moment, name, act in acts:
        time.sleep(max(0.0, begin + moment - time.monotonic()))
        found.append((name, pool.submit(run, moment, act)))
    return found


def required(status: int, what: str) -> None:
    """Require that a request was answered as it should be."""
    if status != 200:
        raise RuntimeError(f"{what}: status {status}")


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return the number of values, their median and their 99th percentile."""
    return {"n": len(values), "median": float(np.median(values)), "p99": float(np.percentile(values, 99))}


def memory_mb(hub: HubAlone, word: str) -> float:
    """Return the memory of the hub: ``VmRSS`` now, ``VmHWM`` at most so far."""
    text = Path(f"/proc/{hub.process.pid}/status").read_text()
    found = re.search(rf"{word}:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1000


def goals_of_many_users(found: dict[str, Any]) -> list[Goal]:
    """Return the goals."""
    users = found["users"]
    return [
        Goal(f"hub_mb_with_{users}_users", found["hub_mb"]["at most"], HUB_MB),
        Goal(f"page_p99_s_with_{users}_users", found["page_s"]["page"]["p99"], PAGE_S),
    ]
