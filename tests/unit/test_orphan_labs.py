"""Test that labs that the hub does not know end after two rounds; homes and labs of other hubs are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gozen.errors import ClusterUnavailable
from gozen_hub.orphan_labs import Lab, OrphanLabs, labs_of, unknown
from gozen_operator.api_server.api_request import ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

HUB = "sky/gozen-hub"


def pod(user: str, server: str = "", hub: str = HUB, **more: Any) -> dict[str, Any]:
    notes = {"hub.jupyter.org/username": user, "hub.jupyter.org/servername": server, "gozen.astro/hub": hub}
    name = f"jupyter-{user}{server}"
    meta = {"namespace": f"gozen-user-{user}", "name": name, "uid": f"uid-{name}", "annotations": notes}
    return {"metadata": {**meta, **more}}


def user(name: str, *servers: str) -> dict[str, Any]:
    return {"name": name, "servers": {server: {"ready": False} for server in servers}}


class Cluster(ApiConnection):
    """An API server with pods of labs; it refuses to delete those of some users."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = list(pods)
        self.deleted: list[tuple[str, Any]] = []
        self.refuses: dict[str, RefusedError] = {}

    def pages(self, request: ApiRequest) -> Iterator[dict[str, Any]]:
        assert request.query["labelSelector"] == "app.kubernetes.io/part-of=gozen,app.kubernetes.io/component=lab"
        for one in self.pods:  # a page for each: not only the first page counts
            yield {"items": [one]}

    def answer(self, request: ApiRequest) -> dict[str, Any]:
        assert request.method == "DELETE"
        self.deleted.append((request.path, request.body["preconditions"]))
        for user, refusal in self.refuses.items():
            if f"-{user}/" in request.path:
                raise refusal
        self.pods = [one for one in self.pods if not request.path.endswith(one["metadata"]["name"])]
        return {}


def orphans(cluster: Cluster, users: Any) -> OrphanLabs:
    return OrphanLabs(cluster, users, HUB)


def test_a_lab_that_two_rounds_did_not_find_ends_and_no_other() -> None:
    cluster = Cluster(pod("ada"), pod("eve"), pod("eve", "second"))
    watch = orphans(cluster, [user("eve", "")])
    assert watch.round() == []
    ended = watch.round()
    assert [(lab.user, lab.server) for lab in ended] == [("ada", ""), ("eve", "second")]
    assert cluster.deleted[0] == (
        "/api/v1/namespaces/gozen-user-ada/pods/jupyter-ada",
        {"uid": "uid-jupyter-ada"},
    )


def test_a_lab_that_the_hub_finds_in_the_second_round_stays() -> None:
    users: list[dict[str, Any]] = []
    watch = orphans(cluster := Cluster(pod("ada")), users)
    watch.round()
    users.append(user("ada", ""))
    assert watch.round() == []
    users.clear()
    assert watch.round() == []  # it must be missing twice in a row
    assert cluster.deleted == []


def test_another_pod_of_the_same_name_has_two_rounds_of_its_own() -> None:
    cluster = Cluster(pod("ada"))
    watch = orphans(cluster, [])
    watch.round()
    cluster.pods = [pod("ada", uid="another")]
    assert watch.round() == []


def test_labs_of_other_hubs_and_pods_that_are_ending_are_left_alone() -> None:
    others = [pod("ada", hub="north/gozen-hub"), pod("bob", deletionTimestamp="2026-01-15T12:00:00Z")]
    older = pod("eve")
    del older["metadata"]["annotations"]["gozen.astro/hub"]
    assert labs_of([*others, older, {"metadata": {"namespace": "a", "name": "b", "uid": "c"}}], HUB) == []


def test_a_server_that_is_starting_is_known() -> None:
    lab = Lab("gozen-user-ada", "jupyter-ada", "u", "ada", "")
    assert unknown([lab], [user("ada", "")]) == frozenset()
    assert unknown([lab], [{"name": "ada"}, {"name": "eve", "servers": None}]) == {lab}


@pytest.mark.parametrize("code", [404, 409])
def test_a_pod_that_has_gone_meanwhile_did_not_end_here(code: int) -> None:
    cluster = Cluster(pod("ada"))
    watch = orphans(cluster, [])
    watch.round()
    cluster.refuses["ada"] = RefusedError("refused", code=code)
    assert watch.round() == []
    assert len(cluster.deleted) == 1


def test_a_lab_that_may_not_be_deleted_does_not_keep_the_others() -> None:
    cluster = Cluster(pod("ada"), pod("eve"))
    watch = orphans(cluster, [])
    watch.round()
    cluster.refuses["ada"] = RefusedError("forbidden", code=403)
    assert [lab.user for lab in watch.round()] == ["eve"]
    cluster.refuses.clear()
    assert [lab.user for lab in watch.round()] == ["ada"]


def test_after_a_round_without_an_answer_counting_begins_again() -> None:
    class Away:
        answers = True

        def __iter__(self) -> Iterator[dict[str, Any]]:
            if not self.answers:
                raise ClusterUnavailable("the hub is away")
            return iter([])

    hub = Away()
    watch = orphans(cluster := Cluster(pod("ada")), hub)
    watch.round()
    hub.answers = False
    with pytest.raises(ClusterUnavailable):
        watch.round()
    hub.answers = True
    assert watch.round() == []
    assert len(watch.round()) == 1
    assert len(cluster.deleted) == 1
