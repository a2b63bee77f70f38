"""Two users of the platform at work while programs of their node are killed, and a user whose node is lost.

The release is that of test_platform.py. There is only one node: that a lab starts on another node is tested in
test_lab_starts.py, with an API server alone.
"""

from __future__ import annotations

import pytest
from tests.services.hub_client import answers, begun, called, status

from gozen_hub.pod_waits import node_is_lost

from .platform_faults import asked_on_the_node, restart, services_that_stay, wait_for_node
from .platform_people import MAPREDUCE, TOUCH, Kernel, address_of, left_of
from .platform_release import Platform
from .processes import wait_until

pytestmark = [
    pytest.mark.node,
    pytest.mark.xdist_group("node"),
    pytest.mark.timeout(900),
    pytest.mark.test_all(
        "kills programs of a node, and waits until Kubernetes gives the node up; test_faults kills the same programs, "
        "without this wait"
    ),
]
LONG = {
    "hoshi": f"""{MAPREDUCE}
import time


def slow(patch):
    time.sleep(5)
    return moments(patch)


with quickdb.connect(workers=2) as api:
    api.workers(2)
    api.mapreduce(moments, add, cache=False)
    open("begun.txt", "w").write("yes")
    found = bytes(api.mapreduce(slow, add, cache=False)).hex()
with open("answer.txt", "w") as file:
    file.write(found)
""",
    "sora": """
import time

open("begun.txt", "w").write("yes")
total = 0
for number in range(60):
    total += number
    time.sleep(0.5)
with open("answer.txt", "w") as file:
    file.write(str(total))
""",
}


def test_a_kubelet_and_a_containerd_that_are_killed_disturb_nobody(
    gozen_platform: Platform, tokens: dict[str, str], answer: str
) -> None:
    before = {name: gozen_platform.lab(name) for name in tokens}
    for name, token in tokens.items():
        begun(Kernel(gozen_platform, name, token).url, token, LONG[name])
    for name, token in tokens.items():
        first = f"{gozen_platform.user_url(name)}/api/contents/begun.txt"
        wait_until(lambda first=first, token=token: status(first, token) == 200, f"the work of {name}", 180)
    restart(gozen_platform.node, "containerd", "kubelet")
    wait_until(lambda: answers(f"{gozen_platform.url}/hub/health"), "the way in", 120)
    right = {"hoshi": answer, "sora": str(sum(range(60)))}
    for name, token in tokens.items():
        last = f"{gozen_platform.user_url(name)}/api/contents/answer.txt"
        wait_until(lambda last=last, token=token: status(last, token) == 200, f"the answer of {name}", 300)
        assert called(last, token)["content"] == right[name]
        lab = gozen_platform.lab(name)
        assert lab["metadata"]["uid"] == before[name]["metadata"]["uid"]
        assert lab["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_lab_on_a_node_that_is_lost_ends_at_once_and_starts_again_with_its_home(
    gozen_platform: Platform, tokens: dict[str, str]
) -> None:
    """There is one node, so the lab cannot start before the node is back; meanwhile its page says so."""
    node, token = gozen_platform.node, tokens["sora"]
    uid = gozen_platform.lab("sora")["metadata"]["uid"]
    gozen_platform.in_lab("sora", TOUCH)
    hub = f"http://{address_of(gozen_platform, 'hub')}:8081/hub/api/users/sora/server"
    with services_that_stay(node):
        node.crash("kubelet")
        try:
            wait_for_node(node, "False", "Unknown")
            wait_until(lambda: node_is_lost(gozen_platform.lab("sora")), "the lab to be lost", 60)
            assert asked_on_the_node(node, "DELETE", hub, token).split()[0] in ("202", "204")
            wait_until(lambda: left_of(gozen_platform, "sora") == [], "the end of a lab that nobody can end", 30)
            assert asked_on_the_node(node, "POST", hub, token).split()[0] in ("201", "202")
            said = asked_on_the_node(node, "GET", f"{hub}/progress", token, until="The lab waits: no node has room")
            assert "0/1 nodes are available" in said
        finally:
            node.restart("kubelet")
        wait_for_node(node, "True")
    lab = f"{gozen_platform.user_url('sora')}/api/contents/mine.txt"
    wait_until(lambda: status(lab, token) == 200, "the lab of sora", 300)
    assert called(lab, token)["content"] == "kept"
    assert gozen_platform.lab("sora")["metadata"]["uid"] != uid
