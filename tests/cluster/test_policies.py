"""The chart's NetworkPolicies on a network that enforces them, attacked from inside the pods.

Covered: a reduction pod, a pod that publishes, the operator and the observer reach what they need and nothing else: not
the metadata address, the node, other pods and namespaces, the API server or an external address, unless needed; a pod
is protected from its start; incoming connections; without the policies the same attacks reach everything. Not covered:
templates (tests/unit/test_chart).
"""

from __future__ import annotations

import json

import pytest

from .guarded import Guarded
from .processes import wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
NAMES = {"names", "names/udp"}
WORKS = NAMES | {"store"}
API = {"API server", "node 6443"}
SHUT = ("reduction ", "operator", "observer")


@pytest.mark.parametrize(
    ("who", "wanted"),
    [("reduction", WORKS), ("publisher", WORKS | {"host 443"}), ("operator", WORKS | API), ("observer", WORKS | API)],
)
def test_a_pod_reaches_what_it_needs_and_nothing_else(gozen_guarded: Guarded, who: str, wanted: set[str]) -> None:
    own = {name for name, _, address, _ in gozen_guarded.targets() if address == gozen_guarded.addresses[who]}
    assert gozen_guarded.reached_by(who) - own == wanted


@pytest.mark.parametrize(("who", "let_in"), [("neighbour", set()), ("far", {"metrics"})])
def test_nobody_gets_in_but_to_the_metrics(gozen_guarded: Guarded, who: str, let_in: set[str]) -> None:
    everything = {target[0] for target in gozen_guarded.targets()}
    shut = {name for name in everything if name.startswith(SHUT)} | {"metrics"}
    assert gozen_guarded.reached_by(who) == (everything - shut) | let_in


def test_a_pod_is_guarded_from_its_first_moment(gozen_guarded: Guarded) -> None:
    said = {who: gozen_guarded.kubectl("logs", who, check=True).stdout for who in ("reduction", "neighbour")}
    assert said["reduction"].startswith("first: denied")
    assert said["neighbour"].startswith("first: reached")


def test_the_kubelet_gets_in_to_ask_how_they_are(gozen_guarded: Guarded) -> None:
    pods = json.loads(gozen_guarded.kubectl("get", "pods", "--output=json", check=True).stdout)["items"]
    ours = [one for one in pods if one["metadata"]["name"].startswith("gozen-")]
    assert len(ours) == 2
    for pod in ours:
        (status,) = pod["status"]["containerStatuses"]
        assert (status["ready"], status["restartCount"]) == (True, 0)


def test_without_policies_the_same_look_reaches_everything(gozen_guarded: Guarded) -> None:
    kept = gozen_guarded.kubectl("get", "networkpolicies", "--output=json", check=True).stdout
    everything = {target[0] for target in gozen_guarded.targets()}
    gozen_guarded.kubectl("delete", "networkpolicies", "--all", check=True)
    try:
        for who in ("reduction", "operator", "observer", "neighbour"):
            wait_until(lambda who=who: gozen_guarded.reached_by(who) == everything, f"all to be reached by {who}", 60)
    finally:
        gozen_guarded.kubectl("create", "-f", "-", stdin=kept, check=True)
