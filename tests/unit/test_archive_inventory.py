"""Test the list of an archive's contents, and the comparison of every product with its commit."""

import pytest

from gozen.archive import keys
from gozen.archive.commit import put_product, write_commit
from gozen.archive.inventory import inventory, verify
from gozen.archive.raw.exposure_record import change_record, record_exposure
from gozen.archive.raw.raw_exposure import Forgotten, RawExposure
from gozen.archive.raw.record_note import RecordChange
from gozen.archive.stores.open_store import open_store

from .archive_samples import NIGHT, commit, processing_of


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


@pytest.fixture
def stack_key(store):
    """Commit one sensor with a stack, and return the stack's key."""
    one = commit()
    key = keys.stack(processing_of(one), one.frame_id)
    product = put_product(store, key, b"pixels")
    write_commit(store, processing_of(one), commit(products={"stack": product}))
    return key


def test_an_archive_as_committed_has_no_problems(store, stack_key):
    found = verify(store)
    assert (found.commits, found.products, found.size, found.problems, found.unnamed) == (1, 1, 6, (), ())


@pytest.mark.parametrize(
    ("content", "says"), [(b"pixelz", "SHA-256"), (b"pix", "3 bytes, the commit says 6"), (None, "no such object")]
)
def test_a_product_that_differs_is_named(store, stack_key, content, says):
    store.delete(stack_key) if content is None else store.write(stack_key, content)
    (problem,) = verify(store).problems
    assert says in problem
    assert store.url_of(stack_key) in problem


def test_products_that_no_commit_names_are_listed(store, stack_key):
    orphan = stack_key.replace("e1", "e2")
    store.write(orphan, b"left by a run that was killed")
    assert verify(store).unnamed == (orphan,)


def test_a_commit_that_cannot_be_read_is_a_problem(store, stack_key):
    store.write(keys.commit(processing_of(commit()), "999"), b"{")
    found = verify(store)
    assert found.commits == 1
    assert "999.json" in found.problems[0]


def test_nights_can_be_chosen(store, stack_key):
    assert verify(store, ["20300101"]).commits == 0
    assert verify(store, [NIGHT]).commits == 1


def test_the_inventory_counts_objects_and_bytes(store, stack_key):
    held = {one.folder: (one.objects, one.size) for one in inventory(store)}
    assert held["stack"] == (1, 6)
    assert held["exposures"][0] == 1
    assert held["raw"] == (0, 0)


def test_a_recorded_raw_file_that_somebody_removed_is_named(store):
    files = tuple(keys.raw(NIGHT, "e1", f"TMQe1{sensor}") for sensor in ("111", "112", "113"))
    for key in files:
        store.write(key, b"raw")
    sensors = {key[-8:-5]: (key,) for key in files}
    record_exposure(store, RawExposure(NIGHT, "e1", "M 67", "OBJECT", 60314.5, sensors))
    write_commit(store, processing_of(commit()), commit())
    assert verify(store).problems == ()
    store.delete(files[0])  # as expire does: a commit stands for it
    store.delete(files[2])
    (problem,) = verify(store).problems
    assert problem.startswith(f"{store.url_of(files[2])}; it is recorded and not reduced, but the raw file is missing")
    assert verify(store, [NIGHT]).problems == (problem,)
    assert verify(store, ["20300101"]).problems == ()
    forgotten = Forgotten(files[2], "0" * 64, "2024-01-06T00:00:00Z")
    change_record(store, NIGHT, "e1", RecordChange(forgotten=(forgotten,)))
    assert verify(store).problems == ()


def test_a_record_that_cannot_be_read_is_a_problem(store):
    store.write(f"{keys.raw_folder(NIGHT, 'e1')}/exposure.json", b"{")
    (problem,) = verify(store).problems
    assert "exposure.json is not a valid record of an exposure" in problem
