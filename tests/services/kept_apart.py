"""Shared parts of the tests of isolation: children with limits, and functions of a user.

A test module adds its own functions. Hostile functions that attack their surroundings are in attacks.py.
"""

import sys
from collections.abc import Iterator

import cloudpickle
import numpy as np
import pytest

from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.limits import Limits

SMALL = Limits(memory_bytes=256 << 20, seconds=60.0, result_bytes=1 << 20)
BRIEF = Limits(seconds=1.0)


def refuse_all(request):
    raise AssertionError(f"nobody asked for {request}")


class Functions:
    """The user's functions: each is given its argument, and what asks the worker."""

    def __init__(self):
        self.kept = []

    def echo(self, argument, ask):
        return argument

    def pid(self, argument, ask):
        import os

        return os.getpid()

    def asks(self, argument, ask):
        return ask("columns")

    def returns(self, argument, ask):
        return np.zeros(argument, "u1")

    def keep(self, argument, ask):
        self.kept.append(ask("columns"))
        return [float(columns["x"][0]) for columns in self.kept]

    def facts(self, argument, ask):
        column = ask("columns")["x"]
        return [column.flags.writeable, column.flags.owndata, column.ctypes.data % 64]


def pickled(program: Functions) -> bytes:
    """Return a program as a notebook sends it, with its code: the child cannot import the tests."""
    for one in type(program).__mro__[:-1]:
        cloudpickle.register_pickle_by_value(sys.modules[one.__module__])
    return cloudpickle.dumps(program)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Child]:
    with Child() as one:
        yield one


@pytest.fixture(scope="module")
def small() -> Iterator[Child]:
    with Child(SMALL) as one:
        yield one


@pytest.fixture(scope="module")
def brief() -> Iterator[Child]:
    with Child(BRIEF) as one:
        yield one
