"""List the contents of an archive, and compare them with the commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gozen.archive import keys
from gozen.archive.commit import Product, load_commit
from gozen.archive.raw.missing_files import missing_raw_files, nights_of_raw
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, MissingObject, UnreadableInput

FOLDERS = ("raw", "calib", "stack", "cube", "neo", "staging", "exposures", "tables", "catalogs")
_OF_COMMITS = ("stack", "cube", "neo", "staging")
_OF_NIGHTS = ("exposures", "raw", *_OF_COMMITS)


@dataclass(frozen=True)
class Holding:
    """The number and the total size (bytes) of the objects in one folder of the archive."""

    folder: str
    objects: int
    size: int


@dataclass(frozen=True)
class Verification:
    """The result of a check of commits and products.

    Parameters
    ----------
    commits, products
        Numbers of commits and products that were read.
    size
        Total size of the products, bytes, as their commits record it.
    problems
        A sentence for each wrong product, unreadable commit or record, and missing raw file.
    unnamed
        Keys of products that no commit names. They come from a run that was interrupted, or that was not the first to
        write a commit.
    """

    commits: int
    products: int
    size: int
    problems: tuple[str, ...]
    unnamed: tuple[str, ...]


def inventory(store: Store) -> list[Holding]:
    """Return number and size of the objects in each folder, in the order of the key layout."""
    holdings = []
    for folder in FOLDERS:
        held = store.sizes(folder)
        holdings.append(Holding(folder, len(held), sum(held.values())))
    return holdings


def nights_of_commits(store: Store) -> list[str]:
    """Return the nights that have commits, in order."""
    return sorted({one.processing.night for one in map(keys.parse_commit, store.list("exposures")) if one})


def verify(store: Store, nights: Sequence[str] | None = None) -> Verification:
    """Compare every product with the size and SHA-256 in its commit, and check that recorded raw files exist.

    Parameters
    ----------
    nights
        Nights to check, ``YYYYMMDD``; None for all.
    """
    problems: list[str] = []
    named: set[str] = set()
    size = commits = 0
    chosen = list(nights) if nights is not None else nights_of_commits(store)
    for key in _commit_keys(store, chosen):
        try:
            commit = load_commit(store, key)
        except UnreadableInput as error:
            problems.append(str(error))
            continue
        commits += 1
        for kind, product in sorted(commit.products.items() if commit else ()):
            named.add(product.key)
            size += product.size
            problem = _problem(store, product)
            if problem:
                problems.append(f"{store.url_of(product.key)}, the {kind} of {key}: {problem}")
    for night in nights if nights is not None else nights_of_raw(store):
        problems += _raw_problems(store, night)
    held = (key for folder in _OF_COMMITS for night in chosen for key in store.list(f"{folder}/{night}"))
    return Verification(commits, len(named), size, tuple(problems), tuple(key for key in held if key not in named))


def require_nights(store: Store, nights: Sequence[str]) -> None:
    """Check that the archive has raw data, commits or products of each night.

    Raises
    ------
    BadRequest
        A night is not a valid date, or the archive has nothing of it.
    """
    for night in nights:
        keys.date_of(night)
        if not any(store.list(f"{folder}/{night}") for folder in _OF_NIGHTS):
            held = sorted({*nights_of_raw(store), *nights_of_commits(store)})
            raise BadRequest(f"{store.url} has nothing of the night {night}; it has {in_words(held)}")


def require_commits(store: Store, nights: Sequence[str]) -> None:
    """Check that each night is reduced, or has tables in the log that a rebuild may correct; raises `BadRequest`."""
    for night in nights:
        keys.date_of(night)
        if not store.list(keys.commits(night)) and not store.exists(keys.log_table("exposures", night)):
            raise BadRequest(
                f"nothing of the night {night} is reduced in {store.url}, so the log cannot have tables of it; "
                f"reduced nights: {in_words(nights_of_commits(store))}"
            )


def require_objects(store: Store) -> None:
    """Check that the archive is not empty, which usually means a wrong path or prefix; raises `BadRequest`."""
    if not any(store.list(folder) for folder in FOLDERS):
        raise BadRequest(f"the archive {store.url} is empty, so there is nothing to verify; check the path")


def in_words(nights: Sequence[str]) -> str:
    """Return how many nights there are, and the first and the last of them."""
    match nights:
        case []:
            return "no nights"
        case [night]:
            return f"the night {night}"
        case _:
            return f"{len(nights)} nights from {nights[0]} to {nights[-1]}"


def sweep(store: Store) -> int:
    """Remove half-written files of killed writers from an archive in a directory; return their number (0 for S3)."""
    return store.sweep() if isinstance(store, DirectoryStore) else 0


def _commit_keys(store: Store, nights: Sequence[str]) -> Iterator[str]:
    for night in nights:
        yield from (key for key in store.list(keys.commits(night)) if keys.parse_commit(key))


def _raw_problems(store: Store, night: str) -> list[str]:
    gone, unreadable = missing_raw_files(store, night)
    return unreadable + [
        f"{store.url_of(key)}; it is recorded and not reduced, but the raw file is missing: give the same file to "
        "`gozen run` or `gozen watch` again, which adds it to the archive"
        for key in gone
    ]


def _problem(store: Store, product: Product) -> str | None:
    again = "reduce this sensor again under another run"
    try:
        data = store.read(product.key)
    except MissingObject:
        return f"the archive has no such object; {again}"
    if len(data) != product.size:
        return f"it has {len(data)} bytes, the commit says {product.size}; {again}"
    digest = hashlib.sha256(data).hexdigest()
    if digest != product.sha256:
        return f"its SHA-256 is {digest[:12]}..., the commit says {product.sha256[:12]}...; {again}"
    return None
