"""Test two namespaces with one archive: which guarantees apply to both together, and which only within each.

Not covered: two processes that append to one table (test_catalog_append), two workers at one sensor (test_two_workers).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gozen.archive.exp_ids import Purpose, read_purpose, reserve
from gozen.archive.stores.open_store import open_store
from gozen_operator.index.index_entries import ExposureEntry
from gozen_operator.index.neighbours import duplicate_of
from gozen_operator.index.object_index import Index
from gozen_operator.reconcile.object_fields import Key

NORTH = Purpose("north", "field", "uid-1", 1, "field-1", "20240105")


def exposure(namespace: str, name: str, made: int) -> dict[str, Any]:
    meta = {
        "name": name, "namespace": namespace, "uid": f"{namespace}-{name}", "resourceVersion": str(made),
        "creationTimestamp": f"2024-01-05T12:00:{made:02d}Z", "generation": 1,
    }  # fmt: skip
    spec = {"exposureId": 7, "night": "20240105", "object": "M 67", "nframe": 3, "pipelines": ["wcs"], "run": "r1"}
    return {"apiVersion": "gozen.astro/v1alpha1", "kind": "Exposure", "metadata": meta, "spec": spec}


def test_numbers_differ_also_where_all_names_are_equal(tmp_path: Path) -> None:
    store, south = open_store(tmp_path), replace(NORTH, namespace="south")
    numbers = [reserve(store, 1, one) for one in (NORTH, south, NORTH, south)]
    assert numbers == [1, 2, 1, 2]
    assert [read_purpose(store, number) for number in (1, 2)] == [NORTH, south]


@pytest.mark.parametrize(("namespace", "first"), [("north", "a"), ("south", None)])
def test_one_number_twice_is_seen_within_a_namespace_only(namespace: str, first: str | None) -> None:
    index = Index()
    index.put(exposure("north", "a", 1))
    index.put(exposure(namespace, "b", 2))
    card = index.entry(Key("Exposure", namespace, "b"))
    assert isinstance(card, ExposureEntry)
    found = duplicate_of(index, namespace, card)
    assert (found and found.name) == first
