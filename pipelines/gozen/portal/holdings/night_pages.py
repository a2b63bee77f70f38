"""The nights of an archive in pages: an archive of ten years has thousands."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gozen.archive.log.night_counts import NightCounts, count_night
from gozen.archive.stores.open_store import open_archive
from gozen.errors import StorageUnavailable, as_gozen_error
from gozen.settings import Settings

NIGHTS_A_PAGE = 20
_AT_ONCE = 8


@dataclass(frozen=True)
class NightRow:
    """A night on the page; `counts` is None if its log cannot be read, and `problem` says why."""

    night: str
    counts: NightCounts | None
    problem: str = ""


@dataclass(frozen=True)
class PageOfNights:
    """Which nights a page shows: `page` of `pages`, from 1."""

    page: int
    pages: int
    nights: tuple[str, ...]


def page_of_nights(nights: Sequence[str], wanted: str) -> PageOfNights:
    """Return the requested page of nights; the nearest page if its number does not exist, the first for other text."""
    pages = max(1, -(-len(nights) // NIGHTS_A_PAGE))
    page = min(max(int(wanted), 1), pages) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 else 1
    first = (page - 1) * NIGHTS_A_PAGE
    return PageOfNights(page, pages, tuple(nights[first : first + NIGHTS_A_PAGE]))


def count_nights(settings: Settings, nights: Sequence[str]) -> list[NightRow]:
    """Count the exposures of some nights; raise `StorageUnavailable` if the archive cannot be read."""
    store = open_archive(settings)

    def row(night: str) -> NightRow:
        try:
            return NightRow(night, count_night(store, night))
        except StorageUnavailable:
            raise
        except Exception as error:  # whatever is wrong with one night, the others are shown
            return NightRow(night, None, str(as_gozen_error(error)))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(row, nights))
