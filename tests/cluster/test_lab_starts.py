"""Labs that do not start, and labs on a lost node, with a hub and an API server: the pages, and what remains.

Covered: an exhausted quota, a missing image, a size for which no node has room, a lost node (the next lab starts on the
other node, with its home), a user who is deleted while logged in. Scheduler, hub and service for namespaces are real,
kubelets are simulated; for a real one see test_platform_faults.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .api_server import ApiServer
from .fake_kubelets import Kubelets, kubelets, lacks_its_image, make_home, runs
from .hub_alone import ADMIN, ADMIN_PASSWORD, PASSWORD, PREFIX, START_S, HubAlone, hub_alone
from .hub_person import Person
from .processes import wait_until
from .users_release import forget

pytestmark = [pytest.mark.xdist_group("api"), pytest.mark.timeout(300)]
NAMES = ("aki", "haru", "natsu", "fuyu", "kiri")
SECONDS = 30


@pytest.fixture(scope="module")
def hub(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubAlone]:
    with hub_alone(api_server, tmp_path_factory.mktemp("hub"), NAMES) as found:
        yield found
    forget(found.users)


@pytest.fixture(scope="module")
def nodes(hub: HubAlone) -> Iterator[Kubelets]:
    with kubelets(hub.server, lambda user: lacks_its_image if user == "aki" else runs) as found:
        for name in NAMES:
            assert hub.users.ask(f"{PREFIX}-{name}", name)[0] == 200
            make_home(found.api, f"{PREFIX}-{name}")
        yield found


@pytest.fixture(scope="module")
def people(hub: HubAlone, nodes: Kubelets) -> dict[str, Person]:
    return {name: Person(hub.url, name, PASSWORD) for name in NAMES}


def test_a_quota_that_is_used_up_is_said_at_once(hub: HubAlone, people: dict[str, Person]) -> None:
    namespace = f"{PREFIX}-natsu"
    status = {"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}
    words = ("patch", "resourcequota/user", "-n", namespace, "--subresource=status", "--type=merge")
    hub.server.kubectl(*words, f"--patch={json.dumps(status)}", check=True)  # as the controller of quotas would
    said = "your quota is used up (needed: pods=1; used: pods=0; at most: pods=0): wait a minute until your workers"
    code, page = people["natsu"].choose("standard")
    assert code == 503
    assert said in page
    code, answer = people["natsu"].call("POST", "users/natsu/server", {"profile": "standard"})
    assert code == 503
    assert said in answer["message"]
    assert people["natsu"].lab is None
    assert hub.pods("natsu") == []


@pytest.fixture(scope="module")
def late(people: dict[str, Person]) -> dict[str, list[str]]:
    """Return what the pages of two users tell until their labs are given up, at the same time."""
    for name, profile in (("aki", "standard"), ("haru", "huge")):
        code, page = people[name].choose(profile)
        assert code == 200
        assert "Your lab is starting" in page
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(("aki", "haru"), pool.map(lambda name: people[name].told(), ("aki", "haru")), strict=True))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aki", "the image lab:1 cannot be fetched (no such image); ask your administrator"),
        ("haru", "no node has room (0/2 nodes are available: 2 Insufficient cpu."),
    ],
    ids=["no such image", "no node for the size"],
)
def test_a_lab_that_cannot_start_says_so_and_is_given_up(
    hub: HubAlone, people: dict[str, Person], late: dict[str, list[str]], name: str, said: str
) -> None:
    assert any(line.startswith(f"The lab waits: {said}") for line in late[name]), late[name]
    assert late[name][-1].startswith(f"Spawn failed: the lab did not start within {START_S} s: {said}")
    code, page = people[name].page(f"spawn-pending/{name}")
    assert code == 503
    assert "The lab did not start" in page
    assert f"the lab did not start within {START_S} s: {said}" in page
    assert people[name].lab is None
    wait_until(lambda: hub.pods(name) == [], "the end of the pod", SECONDS)


def test_a_size_that_no_node_has_says_that_there_are_smaller_ones(late: dict[str, list[str]]) -> None:
    assert late["haru"][-1].endswith("; choose a smaller size, or wait until other pods end, or ask your administrator")


def test_a_start_that_its_user_stops_leaves_nothing(hub: HubAlone, people: dict[str, Person]) -> None:
    haru = people["haru"]
    assert "Your lab is starting" in haru.choose("huge")[1]
    wait_until(lambda: len(hub.pods("haru")) == 1, "the pod", SECONDS)
    assert haru.call("DELETE", "users/haru/server")[0] in (202, 204)
    wait_until(lambda: haru.lab is None and hub.pods("haru") == [], "the end of the start", SECONDS)
    assert "The lab is not running" in haru.page("spawn-pending/haru")[1]


def started(hub: HubAlone, person: Person) -> str:
    """Start the lab of a user; return the node on which it runs."""
    assert person.call("POST", f"users/{person.name}/server", {"profile": "standard"})[0] in (201, 202)
    wait_until(lambda: bool(person.lab and person.lab["ready"]), f"the lab of {person.name}", SECONDS, [hub.process])
    (pod,) = hub.pods(person.name)
    return str(pod["spec"]["nodeName"])


def test_after_the_loss_of_a_node_a_lab_starts_on_another_one_with_its_home(
    hub: HubAlone, nodes: Kubelets, people: dict[str, Person]
) -> None:
    fuyu = people["fuyu"]
    lost = started(hub, fuyu)
    home = hub.get("fuyu", "pvc/home")
    nodes.lose(lost)
    assert fuyu.call("DELETE", "users/fuyu/server")[0] in (202, 204)
    wait_until(lambda: fuyu.lab is None, "the end of the lab that nobody can end", SECONDS)
    assert hub.pods("fuyu") == []
    assert "did not disappear" not in hub.process.log.read_text(), "the hub has waited for the node"
    other = started(hub, fuyu)
    assert {lost, other} == {"dawn-a", "dawn-b"}
    (pod,) = hub.pods("fuyu")
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    assert volumes["home"]["persistentVolumeClaim"] == {"claimName": "home"}
    assert hub.get("fuyu", "pvc/home")["metadata"]["uid"] == home["metadata"]["uid"]


def test_the_lab_of_a_deleted_user_ends_the_home_stays_and_the_log_in_is_over(
    hub: HubAlone, people: dict[str, Person]
) -> None:
    """The last test: a user who was deleted may not log in until the hub starts again."""
    kiri, admin = people["kiri"], Person(hub.url, ADMIN, ADMIN_PASSWORD)
    started(hub, kiri)
    home = hub.get("kiri", "pvc/home")["metadata"]["uid"]
    assert "Stop My Server" in kiri.page("home")[1]
    wait_until(lambda: admin.call("DELETE", "users/kiri")[0] in (204, 404), "the deletion of the user", SECONDS)
    wait_until(lambda: hub.pods("kiri") == [], "the end of the lab", SECONDS)
    assert hub.get("kiri", "pvc/home")["metadata"]["uid"] == home
    assert hub.users.exists(f"{PREFIX}-kiri")
    assert kiri.call("GET", "user")[0] == 403
    assert "Log in to Gozen" in kiri.page("home")[1]
    assert "Invalid username or password" in kiri.log_in()
