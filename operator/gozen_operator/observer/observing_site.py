"""The objects that an observer process uses: cluster, archive, devices and settings of the site."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

from gozen.archive.stores.open_store import Store
from gozen.instrument.profile import Profile
from gozen.observing.device_drivers import Observatory
from gozen.settings import Settings
from gozen_operator.observer.cluster_requests import Cluster


@dataclass(frozen=True)
class ObservingSite:
    """One telescope and one namespace.

    Parameters
    ----------
    profile
        The profile of the camera.
    settings
        Groups ``observer`` and ``observatory``, and the name of the run.
    session
        Unique name of this process; the names of later processes sort after it.
    """

    cluster: Cluster
    store: Store
    observatory: Observatory
    profile: Profile
    settings: Settings
    session: str

    @cached_property
    def zone(self) -> ZoneInfo:
        """Time zone of its nights."""
        return ZoneInfo(self.profile.site.time_zone)
