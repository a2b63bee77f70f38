"""Values of the chart for a simulated observatory with a small camera, so that a release observes in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SENSORS = {"111": (600, 500), "112": (-600, 500), "121": (600, -500), "122": (-600, -500)}
"""Names of the sensors, and where they are in the focal plane, arcsec."""
_CAMERA = Path(__file__).parents[1] / "services" / "small_camera.yaml"


def camera() -> str:
    """Return the profile of a small camera of four sensors."""
    profile = yaml.safe_load(_CAMERA.read_text())
    profile["sensors"] = [{"id": name, "x_arcsec": x, "y_arcsec": y} for name, (x, y) in SENSORS.items()]
    return yaml.safe_dump(profile)


def observatory_values() -> dict[str, Any]:
    """Return values of the chart with an observer whose telescope is simulated, and with small pods."""
    small = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}
    return {
        "instruments": {"small": camera()},
        "settings": {"instrument": "small"},
        "observer": {
            "enabled": True,
            "settings": {"interval_s": 0.5},
            "observatory": {"driver": "simulated", "speed_up": 1000, "events": True},
            "resources": small,
        },
        "pods": small,
    }
