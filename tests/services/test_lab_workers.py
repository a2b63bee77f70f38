"""QuickDB in a lab: functions run on the user's own Dask workers, which the hub's service starts and ends.

The service is simulated; scheduler and workers are real processes. Covered: nothing starts before the first job; the
same bits as without workers; more and fewer workers, by hand and by the amount of work; two notebooks; waits and their
end; a cluster that ended; a scheduler that is killed; a worker without memory; no service; refusals. Not covered: the
service itself (tests/unit/test_workers_service), pods.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from distributed import Client

from gozen.errors import BadRequest, ClusterUnavailable, WorkerLost
from gozen.quickdb import Api, connect
from gozen.quickdb.engines import lab_workers
from gozen.quickdb.engines.local_engine import LocalEngine
from gozen.settings import Settings

from .quickdb_surveys import here
from .user_cluster import TOKEN, UserCluster, end, user_cluster
from .watched_processes import START_S, wait_until

pytestmark = [pytest.mark.usefixtures("kept"), pytest.mark.xdist_group("lab-workers")]
Shown = list[str]


@pytest.fixture(scope="module")
def service() -> Iterator[UserCluster]:
    with user_cluster() as found:
        yield found


@pytest.fixture
def cluster(service: UserCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCluster]:
    """Return the user's cluster as the test before left it: it takes seconds to start."""
    monkeypatch.setenv("GOZEN_WORKERS_URL", service.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setattr(lab_workers, "FAR_PATCHES", 1)
    monkeypatch.setattr(lab_workers, "_QUIET_S", 0.0)
    service.asked.clear()
    yield service
    service.refusal, service.conditions, service.ended, service.tended = None, [], {}, True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found: Shown = []
    monkeypatch.setattr(lab_workers.LabWorkers.__init__, "__kwdefaults__", {**DEFAULTS, "show": found.append})
    return found


DEFAULTS = dict(lab_workers.LabWorkers.__init__.__kwdefaults__ or {})


def lab(nights: Path, **settings: Any) -> Api:
    """Connect as a notebook in a lab does."""
    given = Settings(archive=str(nights), workers=1, quickdb={"workers_start_s": START_S} | settings)
    return connect(nights, settings=given)


def moments(patch: Any) -> Any:
    flux = np.asarray(patch("lightcurves.flux"), dtype=float)
    return np.array([len(flux), np.nansum(flux), np.nansum(flux * 1e-7)])


def count(patch: Any) -> int:
    return int(patch("lightcurves.mjd").size)


def add(a: Any, b: Any) -> Any:
    return a + b


@pytest.fixture(scope="module")
def bits(nights: Path) -> bytes:
    with here(nights) as api:
        return bytes(api.mapreduce(moments, add, cache=False))


def test_nothing_starts_before_the_first_job_and_the_answer_is_the_laptops(
    nights: Path, cluster: UserCluster, shown: Shown, bits: bytes
) -> None:
    with lab(nights) as api:
        assert cluster.asked == []
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits
        assert cluster.changes() == [("PUT", 2)]
        assert shown
        assert all(one.startswith("your workers start; awaited: ") for one in shown)
        session = cluster.starts
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits
    assert (cluster.starts, cluster.replicas) == (session, 2)


def test_two_notebooks_share_the_workers(nights: Path, cluster: UserCluster, bits: bytes) -> None:
    with lab(nights) as one, lab(nights) as other:
        assert bytes(one.mapreduce(moments, add, cache=False)) == bits
        assert bytes(other.mapreduce(moments, add, cache=False)) == bits
    assert cluster.made == 1


def test_a_table_says_what_is_used(nights: Path, cluster: UserCluster) -> None:
    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        table = api.workers()
    workers = table[table["role"] == "worker"]
    assert list(workers["state"]) == ["ready", "ready"]
    assert list(workers["memory_limit"]) == ["4G", "4G"]
    assert all(one > 10 for one in workers["memory_mb"])
    assert list(workers["tasks"]) == [0, 0]
    assert "scheduler" in str(table)


def test_the_number_is_set_by_hand_and_then_stays(nights: Path, cluster: UserCluster, bits: bytes) -> None:
    with lab(nights) as api:
        assert len(api.workers(1)) == 2  # with the scheduler
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits
        assert cluster.replicas == 1
        with pytest.raises(BadRequest, match="gives each user 1 to 2 workers"):
            api.workers(3)
    assert cluster.changes() == [("PATCH", 1), ("PATCH", 3)]


def test_they_grow_with_the_work_and_shrink_after_it(
    nights: Path, cluster: UserCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_workers, "SHRINK_S", 0.1)
    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        wait_until(lambda: cluster.changes() == [("PATCH", 2), ("PATCH", 1)])
        assert cluster.replicas == 1


def test_they_do_not_shrink_while_another_notebook_works(nights: Path, cluster: UserCluster) -> None:
    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        engine: Any = api._engine
        with Client(cluster.state()["address"], set_as_default=False) as other:
            running = other.submit(time.sleep, START_S, pure=False)
            wait_until(engine._engine.is_busy)
            engine.shrink()
            assert cluster.replicas == 2
            other.cancel([running], force=True)
            end(cluster.workers.popitem()[1])
            end(cluster.workers.popitem()[1])
            cluster.scale(2)


def test_what_ended_while_idle_starts_again(nights: Path, cluster: UserCluster, bits: bytes) -> None:
    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        cluster.remove()
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits
    assert cluster.changes()[-1] == ("PUT", 2)


def test_they_end_on_request_and_start_again_with_the_next_job(nights: Path, cluster: UserCluster, bits: bytes) -> None:
    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        api.workers(0)
        assert cluster.changes()[-1] == ("DELETE", None)
        assert cluster.replicas == 0
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits
    assert cluster.changes()[-1] == ("PUT", 2)


def test_a_client_that_has_lost_its_scheduler_is_replaced(nights: Path, cluster: UserCluster, bits: bytes) -> None:
    """Dask's client closes by itself if it cannot reach the scheduler for some time, which goes on meanwhile."""
    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        engine: Any = api._engine
        engine._engine._client.close()
        engine.shrink()
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits


def test_a_scheduler_that_is_killed_in_a_job_is_said_and_the_next_job_works(
    nights: Path, cluster: UserCluster, tmp_path: Path, bits: bytes
) -> None:
    begun = str(tmp_path / "begun")

    def slow(patch: Any) -> int:
        Path(begun).touch()
        time.sleep(0.5)
        return int(patch("lightcurves.mjd").size)

    def kill() -> None:
        wait_until(Path(begun).exists, START_S)
        assert cluster.scheduler is not None
        end(cluster.scheduler)
        cluster.start_scheduler()

    with lab(nights) as api:
        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(WorkerLost, match="was lost"):
            api.mapreduce(slow, add, cache=False)
        thread.join()
        assert bytes(api.mapreduce(moments, add, cache=False)) == bits


def test_a_worker_that_is_killed_again_and_again_is_said_with_its_reason(nights: Path, cluster: UserCluster) -> None:
    def deadly(patch: Any) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    cluster.ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    with lab(nights) as api:
        with pytest.raises(WorkerLost, match=r"a worker was ended because its memory \(4G\) was used up"):
            api.mapreduce(deadly, add, cache=False)
        assert api.mapreduce(count, add, cache=False) > 0


@pytest.fixture
def small(cluster: UserCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCluster]:
    """Return a cluster whose workers have little memory, and which gives up a task that has ended one worker."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    cluster.remove()
    cluster.memory = f"{SMALL_MB}MB"
    yield cluster
    cluster.remove()
    cluster.memory = "4GB"


SMALL_MB = 700


@pytest.mark.timeout(300)
def test_a_function_that_keeps_its_memory_does_not_stop_the_job(nights: Path, small: UserCluster) -> None:
    """A worker of Dask begins no task above 80 % of its memory, by itself; here it does."""

    def hoard(patch: Any) -> int:
        import builtins

        kept = builtins.__dict__.setdefault("hoarded_by_a_test", [])
        while psutil.Process().memory_info().rss < 0.87e6 * SMALL_MB:
            kept.append(np.ones(10**6))
        return int(patch("lightcurves.mjd").size)

    with lab(nights) as api:
        right = api.mapreduce(count, add, cache=False)
        assert api.mapreduce(hoard, add, cache=False) == right
        assert api.mapreduce(count, add, cache=False) == right


@pytest.mark.timeout(300)
def test_a_function_that_needs_too_much_memory_is_told_so(nights: Path, small: UserCluster) -> None:
    def endless(patch: Any) -> int:
        kept = []
        while True:
            kept.append(np.ones(10**6))
            time.sleep(0.005)

    with lab(nights) as api:
        api.workers(1)
        with pytest.raises(WorkerLost, match=r"the memory of the workers was used up: one task .* read fewer columns"):
            api.mapreduce(endless, add, cache=False)
        assert api.mapreduce(count, add, cache=False) > 0


def test_a_job_whose_workers_do_not_come_back_does_not_wait_for_ever(
    nights: Path, cluster: UserCluster, tmp_path: Path
) -> None:
    begun = str(tmp_path / "begun")

    def endless(patch: Any) -> int:
        Path(begun).touch()
        time.sleep(START_S)
        return 0

    def evict() -> None:
        wait_until(Path(begun).exists, START_S)
        cluster.tended = False
        for process in cluster.workers.values():
            end(process)

    with lab(nights) as api:
        api.mapreduce(count, add, cache=False)
        thread = threading.Thread(target=evict)
        thread.start()
        api._engine._start_s = 1.0  # type: ignore[attr-defined]
        with pytest.raises(WorkerLost, match="was lost"):
            api.mapreduce(endless, add, cache=False)
        thread.join()
    cluster.tended = True


def test_without_the_service_the_lab_itself_computes_and_says_so(
    nights: Path, cluster: UserCluster, monkeypatch: pytest.MonkeyPatch, bits: bytes
) -> None:
    monkeypatch.setenv("GOZEN_WORKERS_URL", "http://127.0.0.1:9")
    with lab(nights) as api:
        with pytest.warns(UserWarning, match="run in 1 processes of the lab instead") as warned:
            assert bytes(api.mapreduce(moments, add, cache=False)) == bits
        assert len(warned) == 1
        assert list(api.workers()["state"]) == ["ready"]
        with pytest.raises(BadRequest, match="the hub's service for workers does not answer"):
            api.workers(2)


def test_what_never_comes_is_given_up_with_its_reason(nights: Path, cluster: UserCluster, shown: Shown) -> None:
    cluster.conditions = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    ]
    with lab(nights, workers_start_s=1.0) as api, pytest.raises(ClusterUnavailable, match="no node has room") as error:
        api.mapreduce(count, add, cache=False)
    assert 'connect(engine="local")' in str(error.value)
    assert any("no node has room (0/1 nodes)" in one for one in shown)
    with lab(nights) as api:
        assert set(api.workers()["state"]) == {"starts"}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, "only a running lab may request workers"), "start it again"),
        ((503, "the API server does not answer"), "the API server does not answer"),
    ],
)
def test_a_refusal_is_an_error_and_no_reason_to_compute_elsewhere(
    nights: Path, cluster: UserCluster, refusal: tuple[int, str], said: str
) -> None:
    cluster.refusal = refusal
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lab(nights) as api, pytest.raises(ClusterUnavailable, match=said):
            api.mapreduce(count, add, cache=False)


def test_a_plain_client_of_dask_works_too(cluster: UserCluster) -> None:
    cluster.make(1)
    wait_until(lambda: cluster.state()["phase"] == "ready", START_S)
    with Client(cluster.state()["address"], set_as_default=False) as client:
        assert client.submit(sum, [1, 2]).result(START_S) == 3


def test_a_lab_may_still_compute_in_its_own_processes(nights: Path, cluster: UserCluster) -> None:
    with connect(nights, engine="local", workers=1) as api:
        assert isinstance(api._engine, LocalEngine)
        with pytest.raises(BadRequest, match="is fixed for this connection"):
            api.workers(2)
    with connect(nights, workers=0) as api:
        assert api.mapreduce(count, add, cache=False) > 0
    assert cluster.asked == []


def test_outside_of_a_lab_there_are_no_workers_of_ones_own(nights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOZEN_WORKERS_URL", raising=False)
    with connect(nights, workers=1) as api:
        assert isinstance(api._engine, LocalEngine)
    with pytest.raises(BadRequest, match="needs a lab of a hub"):
        connect(nights, engine="workers")
