"""The first page: the data that a user may see, the way into the lab, and the notebooks."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from gozen.archive.access_levels import LEVELS, Level
from gozen.errors import GozenError, StorageUnavailable
from gozen.portal.holdings.archive_contents import LIGHT_CURVES, ArchiveContents, Contents
from gozen.portal.holdings.fresh_value import DEADLINE_S, PATIENCE_S, FreshValue, NotYet
from gozen.portal.holdings.night_pages import CountedNights, count_nights, page_of_nights
from gozen.portal.holdings.notebook_list import FIRST, Notebook, notebooks, of_releases
from gozen.portal.holdings.reading_threads import ReadingThreads
from gozen.portal.holdings.sections import sections
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.settings import Settings

_PAGES_KEPT = 64
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Notice:
    """A message about the archive: the key of its texts, and details for an administrator."""

    key: str
    details: str = ""


class DataPage:
    """Collects the values that the first page shows.

    Parameters
    ----------
    settings, site
        Settings of the portal, and of the archive.
    patience_s
        Seconds that a request waits for the archive.
    deadline_s
        Seconds after which the page says that the archive does not answer.
    """

    def __init__(
        self, settings: PortalSettings, site: Settings, patience_s: float = PATIENCE_S, deadline_s: float = DEADLINE_S
    ) -> None:
        self._settings, self._site = settings, site
        self._patience_s, self._deadline_s = patience_s, deadline_s
        self._threads = ReadingThreads()
        read = ArchiveContents(site).read
        # One value for each level, read for it: what one level sees can get into no page of another.
        self._contents = {level: self._fresh(partial(self._threads.run, partial(read, level))) for level in LEVELS}
        self._nights: OrderedDict[tuple[str, ...], FreshValue[CountedNights]] = OrderedDict()

    async def values(self, page: str, level: Level) -> dict[str, Any]:
        """Return the values of the template for users of an access level; `page` is the requested page of nights."""
        found = await asyncio.to_thread(notebooks, self._settings.notebooks)
        notice, shown = await self._wait(self._contents[level]), sections(level)
        contents = self._contents[level].last
        common = {
            **_of_notebooks(found, contents, level),
            "sections": shown,
            "contact": self._settings.contact,
            "light_curves": LIGHT_CURVES,
            "seconds": int(self._patience_s),
            "contents": None,
            "page": None,
            "nights": [],
        }
        if contents is None:
            return {**common, "notice": notice}
        # To a user from whom something is withheld, an archive without releases is not known to be empty.
        notice = notice or (Notice("empty") if contents.empty and shown.all else None)
        return {**common, **await self._of_archive(contents, page, notice)}

    async def _of_archive(self, contents: Contents, page: str, notice: Notice | None) -> dict[str, Any]:
        shown = page_of_nights(contents.nights, page)
        counted, of_nights = await self._rows(shown.nights, wait=notice is None)
        nights = counted.rows if counted else ()
        most = max((one.counts.exposures for one in nights if one.counts), default=0)
        notice = notice or of_nights
        read_at = min(contents.read_at, counted.read_at) if counted else contents.read_at
        return {
            "contents": contents,
            "minutes": int((datetime.now(UTC) - read_at).total_seconds() // 60),
            "page": shown,
            "nights": nights,
            "most": most,
            "notice": notice,
        }

    async def _rows(self, nights: tuple[str, ...], *, wait: bool) -> tuple[CountedNights | None, Notice | None]:
        """Return the rows of some nights, None if there are none; if `wait` is False, return only cached rows."""
        if not nights:
            return None, None
        counts = self._counts(nights)
        if counts is None:
            return None, Notice("silent")
        notice = await self._wait(counts) if wait else None
        return counts.last, notice

    def _counts(self, nights: tuple[str, ...]) -> FreshValue[CountedNights] | None:
        """Return the cached value of some nights; None if the cache is full of values that wait for the archive."""
        if nights not in self._nights:
            if len(self._nights) >= _PAGES_KEPT:
                idle = next((one for one, value in self._nights.items() if not value.running), None)
                if idle is None:
                    return None
                del self._nights[idle]
            self._nights[nights] = self._fresh(partial(count_nights, self._site, self._threads, nights))
        self._nights.move_to_end(nights)
        return self._nights[nights]

    def _fresh(self, compute: Callable[[], Awaitable[_Value]]) -> FreshValue[_Value]:
        return FreshValue(compute, patience_s=self._patience_s, deadline_s=self._deadline_s)

    async def _wait(self, value: FreshValue[Any]) -> Notice | None:
        """Wait for a value; if there is no new value, return a notice with the reason."""
        try:
            await value.get()
        except NotYet as late:
            return Notice("slow") if late.seconds < self._deadline_s else Notice("silent")
        except StorageUnavailable as error:
            return Notice("away", str(error))
        except GozenError as error:
            return Notice("refused", str(error))
        return None


def _of_notebooks(found: list[Notebook], contents: Contents | None, level: Level) -> dict[str, Any]:
    """Return the notebooks that users with this access can run, and the one to begin with (None if there is none)."""
    if sections(level).tables:
        first = next((one for one in found if one.name == FIRST), found[0] if found else Notebook(FIRST, "light-curve"))
        return {"notebooks": found, "first": first, "reads_light_curves": first.name == FIRST}
    whole = {one.name for one in contents.releases if not one.problem} if contents else set()
    found = of_releases(found, whole)
    return {"notebooks": found, "first": found[0] if found else None, "reads_light_curves": False}
