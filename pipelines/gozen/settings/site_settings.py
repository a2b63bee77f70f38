"""Define the settings object with all its sections."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gozen.settings.observatory_settings import ObservatorySettings, ObserverSettings
from gozen.settings.quickdb_settings import QuickDBSettings
from gozen.settings.reduction_settings import (
    AstrometrySettings,
    CalibrationSettings,
    DetectionSettings,
    GateSettings,
    MoverSettings,
    PhotometrySettings,
    ReferenceFileSettings,
)
from gozen.settings.sharing_settings import SharingSettings
from gozen.settings.storage_settings import StorageSettings
from gozen.settings.toml_file import TomlFile
from gozen.settings.watch_settings import WatchSettings


class Settings(BaseSettings):
    """All settings of a site; ``gozen config`` prints them."""

    model_config = SettingsConfigDict(env_prefix="GOZEN_", env_nested_delimiter="__", extra="forbid", frozen=True)

    archive: str = Field(
        "archive", description="Location of the archive: a directory, s3://bucket/folder, or another fsspec URL"
    )
    instrument: str = Field(
        "tomoe", description="Name of an instrument profile that Gozen includes, or path of a profile file"
    )
    reference: str | None = Field(
        None,
        description="Reference catalogue: a table file, or the name of a table in the archive; default: the table gaia "
        "of the archive, else the catalogue of its simulated sky",
    )
    run: str = Field(
        "r1",
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$",
        description="Name of this processing; choose a new name to reduce again with another flat, version or setting",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Number of worker processes; default: one per core",
    )
    block_list: Path | None = Field(None, description="YAML file that lists data that must not be reduced")
    raw_url_prefixes: tuple[str, ...] = Field(
        (), description="Prefixes of URLs that are allowed as the rawURL of an Exposure; default: none is allowed"
    )
    keep_raw_days: float = Field(
        7.0, ge=0, description="Days for which reduced raw files are kept after the end of their night"
    )
    image_digest: str = Field("", description="Digest of the container image, recorded in the provenance")
    detection: DetectionSettings = DetectionSettings()
    photometry: PhotometrySettings = PhotometrySettings()
    movers: MoverSettings = MoverSettings()
    reference_file: ReferenceFileSettings = ReferenceFileSettings()
    astrometry: AstrometrySettings = AstrometrySettings()
    calibration: CalibrationSettings = CalibrationSettings()
    gates: GateSettings = GateSettings()
    watch: WatchSettings = WatchSettings()
    observatory: ObservatorySettings = ObservatorySettings()
    observer: ObserverSettings = ObserverSettings()
    quickdb: QuickDBSettings = QuickDBSettings()
    storage: StorageSettings = StorageSettings()
    sharing: SharingSettings = SharingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order of priority: flags, environment, file."""
        return init_settings, env_settings, TomlFile(settings_cls)
