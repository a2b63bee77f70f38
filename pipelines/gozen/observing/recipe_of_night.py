"""Read a recipe or a file of Observations for one night and one camera."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from gozen.archive.keys import date_of
from gozen.errors import BadRequest, reason_of
from gozen.instrument.profile import Profile
from gozen.observing.observation_plan import PlannedExposure, exposures_of
from gozen.resources.observation import Observation
from gozen.resources.observatory_recipe import load_observations


def read_recipe(path: Path) -> str:
    """Return the text of a recipe; raise `BadRequest` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the recipe {path}: {reason_of(error)}") from error


def observations_of(text: str, source: str, night: str, profile: Profile) -> list[Observation]:
    """Return the Observations of a recipe for a night.

    Parameters
    ----------
    text
        A recipe in the observatory's form, or Observations in YAML.
    source
        Name of the file, for messages.
    night
        ``YYYYMMDD``; the recipe's times of day are in this night.
    profile
        Profile of the camera, for its site's time zone.

    Raises
    ------
    BadRequest
        The night is not a valid date, or the text is not a valid recipe.
    """
    return load_observations(text, source, night=date_of(night), zone=ZoneInfo(profile.site.time_zone))


def steps_of(observation: Observation, profile: Profile, run: str) -> list[PlannedExposure]:
    """Return the exposures of an Observation, with the defaults of a camera; errors are those of `exposures_of`.

    Parameters
    ----------
    run
        Name of the processing run.
    """
    return exposures_of(
        observation,
        instrument=profile.name,
        run=run,
        default_pipelines=profile.default_pipelines,
        default_gain=profile.default_gain,
    )
