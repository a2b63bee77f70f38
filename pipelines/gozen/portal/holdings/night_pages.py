"""The nights of an archive in pages: an archive of ten years has thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from gozen.archive.log.night_counts import NightCounts, count_night
from gozen.archive.stores.open_store import Store, open_archive
from gozen.errors import StorageUnavailable, as_gozen_error
from gozen.portal.holdings.reading_threads import ReadingThreads
from gozen.settings import Settings

NIGHTS_A_PAGE = 20


@dataclass(frozen=True)
class NightRow:
    """A night on the page; `counts` is None if its log cannot be read, and `problem` says why."""

    night: str
    counts: NightCounts | None
    problem: str = ""


@dataclass(frozen=True)
class CountedNights:
    """The rows of some nights, and when they were read (UTC)."""

    rows: tuple[NightRow, ...]
    read_at: datetime


@dataclass(frozen=True)
class PageOfNights:
    """Which nights a page shows: `page` of `pages`, from 1."""

    page: int
    pages: int
    nights: tuple[str, ...]


def page_of_nights(nights: Sequence[str], wanted: str) -> PageOfNights:
    """Return the requested page of nights: the page with the nearest number; the first if `wanted` is not a number."""
    pages = max(1, -(-len(nights) // NIGHTS_A_PAGE))
    page = min(max(int(wanted), 1), pages) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 else 1
    first = (page - 1) * NIGHTS_A_PAGE
    return PageOfNights(page, pages, tuple(nights[first : first + NIGHTS_A_PAGE]))


async def count_nights(settings: Settings, threads: ReadingThreads, nights: Sequence[str]) -> CountedNights:
    """Count the exposures of some nights; raise `StorageUnavailable` if the archive cannot be read."""
    store = await threads.run(partial(open_archive, settings))
    rows = await asyncio.gather(*(threads.run(partial(_row, store, night)) for night in nights))
    return CountedNights(tuple(rows), datetime.now(UTC))


def _row(store: Store, night: str) -> NightRow:
    try:
        return NightRow(night, count_night(store, night))
    except StorageUnavailable:
        raise
    except Exception as error:  # whatever is wrong with one night, the others are shown
        return NightRow(night, None, str(as_gozen_error(error)))
