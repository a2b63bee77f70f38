"""All settings of a site: flags override the environment (``GOZEN_...``), which overrides ``gozen.toml``.

The camera is described in an instrument profile, and the observations of a night in recipes.
"""

from gozen.settings.observatory_settings import ObservatorySettings, ObserverSettings
from gozen.settings.quickdb_settings import QuickDBSettings
from gozen.settings.read_settings import load_settings
from gozen.settings.reduction_settings import (
    AstrometrySettings,
    CalibrationSettings,
    DetectionSettings,
    GateSettings,
    MoverSettings,
    PhotometrySettings,
    ReferenceFileSettings,
)
from gozen.settings.setting_sources import Setting, explain_settings
from gozen.settings.sharing_settings import SharingSettings
from gozen.settings.site_settings import Settings
from gozen.settings.storage_settings import StorageSettings
from gozen.settings.toml_file import config_file, settings_file
from gozen.settings.watch_settings import WatchSettings

__all__ = [
    "AstrometrySettings",
    "CalibrationSettings",
    "DetectionSettings",
    "GateSettings",
    "MoverSettings",
    "ObservatorySettings",
    "ObserverSettings",
    "PhotometrySettings",
    "QuickDBSettings",
    "ReferenceFileSettings",
    "Setting",
    "Settings",
    "SharingSettings",
    "StorageSettings",
    "WatchSettings",
    "config_file",
    "explain_settings",
    "load_settings",
    "settings_file",
]
