"""Open a patch in the user's own process, in the same form in which a function gets it from a worker."""

from __future__ import annotations

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.quickdb.jobs.rerun_tables import Family
from gozen.quickdb.patches.patch import Patch, PatchReads
from gozen.quickdb.work.job_files import FileSource


def opened(store: Store, family: Family, id: str) -> Patch:  # noqa: A002 its name
    """Open a patch of tables by its id; raise `BadRequest` if there is no such patch."""
    number = next((at for at, one in enumerate(family.patches) if one.id == id), None)
    if number is None:
        known = family.patches[0].id if family.patches else "5/8131/3"
        raise BadRequest(f"there is no patch {id!r}; an id has the form order/pixel/number, such as {known!r}")
    one = family.patches[number]
    source = FileSource(store, family.files)
    source.begin([(number, one)])
    return Patch(PatchReads(source, family.names, {}, {}), number, id, (one.start, one.stop), source.rows(number))
