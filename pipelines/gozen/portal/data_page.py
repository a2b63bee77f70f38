"""The first page: which data there are, the way into the lab, and the notebooks."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any

from gozen.errors import GozenError
from gozen.portal.holdings.archive_contents import LIGHT_CURVES, ArchiveContents, Contents
from gozen.portal.holdings.fresh_value import PATIENCE_S, FreshValue
from gozen.portal.holdings.night_pages import NightRow, count_nights, page_of_nights
from gozen.portal.holdings.notebook_list import FIRST, Notebook, notebooks
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.settings import Settings

_PAGES_KEPT = 64


@dataclass(frozen=True)
class Notice:
    """A message that the page shows instead of data: the key of its texts, and details for an administrator."""

    key: str
    details: str = ""


class DataPage:
    """Collects what the page shows.

    Parameters
    ----------
    settings, site
        Settings of the portal, and of the archive.
    patience_s
        Seconds that a request waits for the archive.
    """

    def __init__(self, settings: PortalSettings, site: Settings, patience_s: float = PATIENCE_S) -> None:
        self._settings, self._site, self._patience_s = settings, site, patience_s
        self._contents = FreshValue(ArchiveContents(site).read, patience_s=patience_s)
        self._nights: OrderedDict[tuple[str, ...], FreshValue[list[NightRow]]] = OrderedDict()

    async def values(self, page: str) -> dict[str, Any]:
        """Return the values of the template."""
        found = await asyncio.to_thread(notebooks, self._settings.notebooks)
        first = next((one for one in found if one.name == FIRST), found[0] if found else Notebook(FIRST, "light-curve"))
        common = {
            "notebooks": found,
            "first": first,
            "light_curves": LIGHT_CURVES,
            "seconds": int(self._patience_s),
            "contents": None,
            "notice": None,
            "page": None,
            "nights": [],
        }
        try:
            contents = await self._contents.get()
            return {**common, **await self._of_archive(contents, page)}
        except GozenError as error:
            return {**common, "notice": Notice("away", str(error))}
        except TimeoutError:
            return {**common, "notice": Notice("slow")}

    async def _of_archive(self, contents: Contents, page: str) -> dict[str, Any]:
        shown = page_of_nights(contents.nights, page)
        nights = await self._counts(shown.nights).get() if shown.nights else []
        most = max((one.counts.exposures for one in nights if one.counts), default=0)
        notice = Notice("empty") if contents.empty else None
        return {"contents": contents, "page": shown, "nights": nights, "most": most, "notice": notice}

    def _counts(self, nights: tuple[str, ...]) -> FreshValue[list[NightRow]]:
        if nights not in self._nights:
            compute = partial(count_nights, self._site, nights)
            self._nights[nights] = FreshValue(compute, patience_s=self._patience_s)
            if len(self._nights) > _PAGES_KEPT:
                self._nights.popitem(last=False)
        self._nights.move_to_end(nights)
        return self._nights[nights]
