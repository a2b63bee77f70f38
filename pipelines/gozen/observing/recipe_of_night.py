"""What a recipe, or a file of Observations, asks of one night at the site of one camera."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from gozen.archive.keys import date_of
from gozen.errors import BadRequest
from gozen.instrument.profile import Profile
from gozen.observing.observation_plan import PlannedExposure, exposures_of
from gozen.resources.observation import Observation
from gozen.resources.observatory_recipe import load_observations


def read_recipe(path: Path) -> str:
    """Return the text of a recipe; `BadRequest` when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the recipe {path}: {error}") from error


def observations_of(text: str, source: str, night: str, profile: Profile) -> list[Observation]:
    """Return the Observations of a recipe for a night.

    Parameters
    ----------
    text
        A recipe in the observatory's form, or Observations in YAML.
    source
        Name of the file, for messages.
    night
        ``YYYYMMDD``; the times of day in a recipe are within it.
    profile
        Its site has the time zone.

    Raises
    ------
    BadRequest
        The night is no date, or the text is no recipe.
    """
    return load_observations(text, source, night=date_of(night), zone=ZoneInfo(profile.site.time_zone))


def steps_of(observation: Observation, profile: Profile, run: str) -> list[PlannedExposure]:
    """Return the exposures of an Observation with the defaults of a camera; raises as `exposures_of`.

    Parameters
    ----------
    run
        Name of the processing.
    """
    return exposures_of(
        observation,
        instrument=profile.name,
        run=run,
        default_pipelines=profile.default_pipelines,
        default_gain=profile.default_gain,
    )
