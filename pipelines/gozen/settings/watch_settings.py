"""Settings of `gozen watch`: settle time, patience, append, warnings."""

from __future__ import annotations

from pydantic import Field

from gozen.settings.section import SettingsSection


class WatchSettings(SettingsSection):
    """Watching the folder into which a camera writes (``gozen watch``)."""

    interval_s: float = Field(0.5, gt=0, description="Seconds between two checks of the folder")
    patience_s: float = Field(
        60.0, ge=0, description="Seconds without growth after which a file that is too short counts as broken"
    )
    settle_s: float = Field(
        30.0,
        ge=0,
        description="Shortest time without a further file after which an exposure of single frames counts as complete, "
        "seconds",
    )
    queue_length: int = Field(
        168,
        ge=1,
        description="Largest number of exposures in the archive that wait for reduction, counted once for each sensor",
    )
    express: tuple[str, ...] = Field((), description="Names of objects that are reduced first; * and ? are wildcards")
    append_exposures: int = Field(1, ge=1, description="Number of exposures that are appended to the table in one step")
    publish_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="While exposures wait, at most this fraction of the time of one worker is used to append rows and "
        "to update the log",
    )
    report_s: float = Field(10.0, gt=0, description="Seconds between two reports about the queue")
    warn_s: float = Field(3600.0, ge=0, description="Warn this many seconds before the space for raw data is full")
    raw_limit_gb: float | None = Field(
        None, gt=0, description="Space for raw data that are not reduced yet, GB; default: the free space of the disk"
    )
