"""Test the connection to a Dask scheduler that sends more than one message at its start."""

from __future__ import annotations

from types import SimpleNamespace

import distributed
import pytest

from gozen.errors import StorageUnavailable
from gozen.quickdb.engines.dask_engine import DaskEngine


class BusyScheduler:
    """Clients of a scheduler to which workers come while the first clients connect."""

    def __init__(self, failures: int, error: type[Exception] = AssertionError) -> None:
        self.left = failures
        self.error = error

    def __call__(self) -> SimpleNamespace:
        if self.left:
            self.left -= 1
            raise self.error("len(msg) == 1")
        return SimpleNamespace(close=lambda **_: None)


def test_a_worker_that_joins_meanwhile_does_not_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    made = BusyScheduler(failures=2)
    monkeypatch.setattr(distributed, "Client", type("Client", (), {"__new__": lambda *_, **__: made()}))
    DaskEngine("tcp://scheduler:8786", 0)
    assert made.left == 0


def test_a_scheduler_that_does_not_answer_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = BusyScheduler(failures=2, error=OSError)
    monkeypatch.setattr(distributed, "Client", type("Client", (), {"__new__": lambda *_, **__: made()}))
    with pytest.raises(StorageUnavailable, match="no Dask scheduler answers at 'tcp://scheduler:8786'"):
        DaskEngine("tcp://scheduler:8786", 0)
    assert made.left == 1
