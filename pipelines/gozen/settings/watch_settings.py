"""Settings of `gozen watch`: settle time, patience, append, warnings."""

from __future__ import annotations

from pydantic import Field

from gozen.settings.section import SettingsSection


class WatchSettings(SettingsSection):
    """Watching the folder into which a camera writes (``gozen watch``)."""

    interval_s: float = Field(0.5, gt=0, description="Seconds between two looks into the folder")
    patience_s: float = Field(60.0, ge=0, description="Seconds without growth that make a short file a broken one")
    settle_s: float = Field(30.0, ge=0, description="Seconds without a file that end an exposure of single frames")
    queue_length: int = Field(168, ge=1, description="Sensor exposures in the archive that wait to be reduced")
    express: tuple[str, ...] = Field((), description="Objects that go first, as patterns with * and ?")
    append_exposures: int = Field(1, ge=1, description="Exposures that are appended to the table in one step")
    publish_share: float = Field(0.2, gt=0, le=1, description="Largest share of one worker for table and log")
    report_s: float = Field(10.0, gt=0, description="Seconds between two reports on the queue")
    warn_s: float = Field(3600.0, ge=0, description="Warning time before the room for raw data is used up")
    raw_limit_gb: float | None = Field(
        None, gt=0, description="Room for raw data that are not reduced yet; without it what is free on the disk"
    )
