"""Test the Lease of a process: waiting for it, giving it back, and the end of the process if it cannot be renewed."""

import asyncio
import os
import threading

import pytest

from gozen.errors import ClusterUnavailable
from gozen_operator.api_server import lease
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process.leadership import Leadership


class Cluster:
    """A Lease in memory; it may fall silent, as an API server that is away, or answer with something else."""

    def __init__(self) -> None:
        self.kept: dict | None = None
        self.trouble: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def lease(self, namespace, name):
        self.answers.wait(10)
        if self.trouble is not None:
            raise self.trouble
        return self.kept

    def write_lease(self, namespace, manifest):
        version = int((self.kept or {"metadata": {"resourceVersion": "0"}})["metadata"]["resourceVersion"]) + 1
        self.kept = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(version)}}
        return True

    @property
    def holder(self):
        return self.kept["spec"]["holderIdentity"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    monkeypatch.setattr(lease, "DURATION_S", 0.5)


@pytest.mark.usefixtures("quick")
def test_the_second_begins_when_the_first_has_given_it_back():
    cluster, told = Cluster(), []

    async def live():
        first, second = (Leadership(cluster, "night", name) for name in ("first", "second"))
        stop, waits = asyncio.Event(), asyncio.Event()

        async def follow():
            async with second.held(stop, waits.set):
                told.append(("second", cluster.holder))

        async with first.held(stop, lambda: told.append("first waits")):
            following = asyncio.create_task(follow())
            await asyncio.wait_for(waits.wait(), 10)
            told.append(("first", cluster.holder))
        await asyncio.wait_for(following, 10)

    asyncio.run(live())
    assert told == [("first", "first"), ("second", "second")]
    assert cluster.holder == ""


@pytest.mark.usefixtures("quick")
def test_a_process_that_gets_no_answer_ends_before_another_may_act(monkeypatch):
    cluster, ended = Cluster(), []

    async def live():
        over = asyncio.Event()

        def end(code):
            ended.append(code)
            cluster.answers.set()
            over.set()
            raise SystemError

        monkeypatch.setattr(os, "_exit", end)
        async with Leadership(cluster, "night", "only").held(asyncio.Event(), lambda: None):
            cluster.answers.clear()
            await asyncio.wait_for(over.wait(), 10)

    asyncio.run(live())
    assert ended == [75]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", [ValueError("Expecting value"), KeyError("metadata"), ClusterUnavailable("503")])
def test_an_answer_of_any_kind_that_is_no_lease_ends_a_process_before_another_may_act(monkeypatch, trouble):
    cluster, ended = Cluster(), []

    async def live():
        over = asyncio.Event()

        def end(code):
            ended.append(code)
            over.set()
            raise SystemError

        monkeypatch.setattr(os, "_exit", end)
        async with Leadership(cluster, "night", "only").held(asyncio.Event(), lambda: None):
            cluster.trouble = trouble
            await asyncio.wait_for(over.wait(), 10)

    asyncio.run(live())
    assert ended == [75]


def test_what_was_not_renewed_is_over_before_another_may_begin():
    cluster = Cluster()
    first, second = (lease.Tenure(cluster, "night", name) for name in ("first", "second"))
    assert first.hold(100.0, 1.8e9)
    assert not second.hold(100.0, 1.8e9)
    cluster.trouble = ValueError("Expecting value")
    assert not first.hold(105.0, 1.8e9)
    assert first.left_s(109.0) > 0.0 >= first.left_s(110.0)
    cluster.trouble = None
    assert not second.hold(115.0, 1.8e9)
    assert second.hold(115.1, 1.8e9)


def test_a_renewal_that_is_late_does_not_take_a_lease_that_was_given_back():
    cluster = Cluster()
    tenure = lease.Tenure(cluster, "night", "first")
    assert tenure.hold(0.0, 1.8e9)
    tenure.give_back(1.8e9)
    assert not tenure.hold(1.0, 1.8e9)
    assert lease.Tenure(cluster, "night", "second").hold(1.0, 1.8e9)


def test_no_two_processes_have_the_same_name_by_themselves():
    names = [OperatorSettings().identity for _ in range(2)]
    assert len(set(names)) == 2
    assert all(str(os.getpid()) in name for name in names)


def test_who_hears_that_another_one_holds_it_may_not_act_on_though_its_own_clock_stood_still():
    cluster = Cluster()
    first, second = (lease.Tenure(cluster, "night", name) for name in ("first", "second"))
    assert first.hold(100.0, 1.8e9)
    assert not second.hold(500.0, 1.8e9)
    assert second.hold(516.0, 1.8e9)
    assert not first.hold(101.0, 1.8e9), "its machine slept meanwhile"
    assert first.left_s(101.0) <= 0.0
