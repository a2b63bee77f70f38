"""Write a simulated survey as a release, with the table of true pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.maintain.release import release
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import BadRequest
from gozen.simulator.objects.survey_objects import tiles
from gozen.simulator.objects.survey_tables import WORDS, chunks, object_schema, pairs_of
from gozen.simulator.truth_tables import write_truth

PARTITION_ROWS = 500_000
"""Largest number of rows in a partition: two million objects in four fields have ten partitions and 37 patches."""

MEMORY = 1 << 29
"""Bytes of rows in memory; further rows are buffered on the disk."""


@dataclass(frozen=True)
class Survey:
    """The result of `simulate_objects`.

    Parameters
    ----------
    tables
        The manifest of each table, by ``forced`` and ``meas``.
    pairs_key, pairs
        Key in the archive of the table of true pairs (two objects close to each other with nearly the same colours),
        and the number of pairs.
    """

    tables: Mapping[str, Manifest]
    pairs_key: str
    pairs: int


def simulate_objects(
    store: Store, name: str, objects: int, *, seed: int = 1, progress: Callable[[], None] | None = None
) -> Survey:
    """Write the object tables of a simulated survey and release them. A second call completes an interrupted one.

    Parameters
    ----------
    store
        The archive.
    name
        Name of the release; the tables are ``{name}_forced`` and ``{name}_meas``.
    objects
        Number of objects in each table.
    seed
        Seed of the sky.
    progress
        Called after each tile, `steps` times in total.

    Raises
    ------
    BadRequest
        The archive contains another survey with this name.
    """
    names = {word: keys.catalog(f"{name}_{word}").removeprefix("catalogs/") for word in WORDS}
    _claim(store, name, seed, objects)
    found = pairs_of(seed, objects, progress)
    write_truth(store, pairs_key(name), found)
    for word in WORDS:
        rows = chunks(seed, objects, word, progress)
        write_table(store, names[word], object_schema(word), rows, TableOptions(PARTITION_ROWS, memory=MEMORY))
    made = release(store, name, names)
    return Survey(made.tables, pairs_key(name), len(found))


def steps(seed: int, objects: int) -> int:
    """Return how often `simulate_objects` calls ``progress``."""
    return (1 + len(WORDS)) * sum(1 for _ in tiles(seed, objects))


def pairs_key(name: str) -> str:
    """Return the key of the table of true pairs of a simulated survey."""
    return f"truth/{name}/pairs.parquet"


def _claim(store: Store, name: str, seed: int, objects: int) -> None:
    """Record seed and size of a survey in the archive; raise `BadRequest` if the name has other values."""
    key = f"truth/{name}/objects.json"
    wanted = {"seed": seed, "objects": objects}
    if not store.create(key, json.dumps(wanted).encode()) and (found := json.loads(store.read(key))) != wanted:
        raise BadRequest(
            f"the archive {store.url} contains another survey as {name!r} (seed {found['seed']}, {found['objects']:,} "
            f"objects): give this one another --name"
        )
