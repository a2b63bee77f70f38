"""The simulated survey of which benchmarks of QuickDB ask a colour-colour diagram: one table, and its release."""

from __future__ import annotations

from gozen.archive.stores.open_store import Store
from gozen.catalog.maintain.release import release
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.simulator.objects.survey_release import PARTITION_ROWS
from gozen.simulator.objects.survey_tables import chunks, object_schema
from timing import say

RERUN, TABLE = "survey", "survey_forced"


def made(store: Store, rows: int) -> Store:
    """Write a survey of so many objects and release it, unless it is there."""
    say(f"a table of {rows:,} objects in {store.url}")
    if f"releases/{RERUN}.json" not in store.list("releases"):
        write_table(
            store,
            TABLE,
            object_schema("forced"),
            chunks(1, rows, "forced"),
            TableOptions(partition_rows=PARTITION_ROWS),
        )
        release(store, RERUN, {"forced": TABLE})
    return store
