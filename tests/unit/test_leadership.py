"""The Lease as a process holds it: waited for, given back, and an end when nobody says that it is still its own."""

import asyncio
import os
import threading

import pytest

from gozen_operator import lease
from gozen_operator.leadership import Leadership


class Cluster:
    """A Lease in memory; it may fall silent, as an API server that is away."""

    def __init__(self) -> None:
        self.kept: dict | None = None
        self.answers = threading.Event()
        self.answers.set()

    def lease(self, namespace, name):
        self.answers.wait(10)
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
