"""Test two workers of different versions that reduce one sensor at the same time: the commit is complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gozen.archive import keys
from gozen.archive.commit import put_new_product, read_commit
from gozen.archive.inventory import verify
from gozen.archive.provenance import sha256
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.reduction import reduce_sensor as reducing

from ..reductions import SENSOR, Night, reduced, small_night, work_of


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return small_night(tmp_path_factory.mktemp("small"))


@pytest.fixture
def night(taken: Night, tmp_path: Path) -> Night:
    return taken.copy(tmp_path / "archive")


class _KilledError(Exception):
    pass


class BeforeCommit(DirectoryStore):
    """A store in which something happens just before a commit is made."""

    def __init__(self, root: Path, happens: Callable[[], None]) -> None:
        super().__init__(root)
        self._happens = happens

    def create(self, key: str, data: bytes) -> bool:
        if keys.parse_commit(key):
            self._happens()
        return super().create(key, data)


def killed() -> None:
    raise _KilledError


def root_of(night: Night) -> Path:
    return night.store.path("raw").parent


@pytest.fixture
def version_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda version: monkeypatch.setattr(reducing, "code_version", lambda: version)


def test_a_slower_worker_leaves_the_products_of_the_commit_alone(night: Night, version_of: Callable) -> None:
    def other_worker() -> None:
        version_of("0.2.0")
        with pytest.raises(_KilledError):
            reduced(night, store=BeforeCommit(root_of(night), killed))

    version_of("0.1.0")
    mine = reduced(night, store=BeforeCommit(root_of(night), other_worker))
    assert mine.provenance.code_version == "0.1.0"
    found = verify(night.store)
    assert found.problems == ()
    assert len(found.unnamed) == len(mine.products) == 2
    assert all("-" in key.rsplit("/", 1)[1] for key in found.unnamed)


def test_who_comes_second_returns_the_commit_that_stands(night: Night, version_of: Callable) -> None:
    def other_worker() -> None:
        version_of("0.2.0")
        reduced(night)

    version_of("0.1.0")
    mine = reduced(night, store=BeforeCommit(root_of(night), other_worker))
    assert mine.provenance.code_version == "0.2.0"
    assert mine == read_commit(night.store, work_of(night).processing, SENSOR)
    assert verify(night.store).problems == ()


def test_a_worker_of_the_same_version_writes_nothing_twice(night: Night) -> None:
    first = reduced(night, store=BeforeCommit(root_of(night), lambda: reduced(night) and None))
    assert verify(night.store).unnamed == ()
    assert first == read_commit(night.store, work_of(night).processing, SENSOR)


@pytest.mark.parametrize("name", ["a.b.fits.fz", "a.b.fits", "111.parquet", "a"])
def test_a_product_whose_key_is_taken_by_another_version_has_its_digest_behind_its_name(
    tmp_path: Path, name: str
) -> None:
    store, key = DirectoryStore(tmp_path), f"stack/20240105/e1/r1/{name}"
    first, other = b"GZVERS '0.1.0'", b"GZVERS '0.1.0+g1234567'"
    assert put_new_product(store, key, first, "0.1.0").key == key
    assert put_new_product(store, key, first, "0.1.0").key == key
    second = put_new_product(store, key, other, "0.1.0+g1234567")
    stem, dot, ending = name.replace("a.b", "a:b").partition(".")
    assert second.key == f"stack/20240105/e1/r1/{stem.replace(':', '.')}-{sha256(other)[:12]}{dot}{ending}"
    assert (store.read(key), store.read(second.key)) == (first, other)
    assert put_new_product(store, key, other, "0.1.0+g1234567") == second


@pytest.mark.parametrize(
    ("mine", "theirs"), [("0.1.0+g1234567", "0.1.0"), ("0.1.0", "0.1.0+g1234567"), ("0.1.0", "0.1.0.post2")]
)
def test_a_version_whose_name_contains_that_of_another_is_another(tmp_path: Path, mine: str, theirs: str) -> None:
    store, key = DirectoryStore(tmp_path), "stack/20240105/e1/r1/a.fits.fz"
    put_new_product(store, key, b"'" + theirs.encode() + b"' pixels", theirs)
    assert put_new_product(store, key, b"'" + mine.encode() + b"' pixels", mine).key != key


def test_what_an_interrupted_attempt_of_the_same_version_left_is_replaced(night: Night) -> None:
    whole = reduced(night)
    for product in whole.products.values():
        assert put_new_product(night.store, product.key, b"new bytes", whole.provenance.code_version).key == product.key
        assert night.store.read(product.key) == b"new bytes"
