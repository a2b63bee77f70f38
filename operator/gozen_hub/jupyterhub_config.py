"""The file that JupyterHub reads: settings from the file that ``GOZEN_HUB_SETTINGS`` names."""

from __future__ import annotations

import os
from pathlib import Path

from traitlets.config import get_config

from gozen_hub.configure import configure
from gozen_hub.hub_settings import VARIABLE, read_hub_settings

configure(get_config(), read_hub_settings(Path(os.environ.get(VARIABLE, "/etc/gozen/hub.yaml"))))
