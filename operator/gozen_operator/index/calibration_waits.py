"""Find the DARK and FLAT Exposures of the same night for which an Exposure waits. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from gozen.errors import BadRequest
from gozen.instrument.profile import Profile
from gozen.observing.calibration_steps import Ordered, kinds_for, may_serve
from gozen.observing.observation_plan import exposures_of
from gozen.resources.observation import Observation
from gozen_operator.index import index_entries
from gozen_operator.index.index_entries import ExposureEntry
from gozen_operator.index.object_index import Index
from gozen_operator.reconcile.object_fields import Key

_Recipes = dict[str, Mapping[str, tuple[str, float]]]


def awaited_calibration(index: Index, namespace: str, entry: ExposureEntry, profile: Profile) -> list[str]:
    """Return the calibration Exposures that must be complete before this Exposure is reduced, by kind and number."""
    if entry.exposure_id is None:
        return []
    names: list[str] = []
    for kind in kinds_for(entry.data_type, profile):
        index_key = index_entries.calibration(namespace, entry.instrument, kind, entry.night)
        names += index.under(index_key, most=index.before(index_key, (entry.exposure_id,)))
    if not names:
        return []
    recipes: _Recipes = {}
    wanted = _ordered(index, namespace, entry, profile, recipes)
    others = [(name, index.entry(Key("Exposure", namespace, name))) for name in names]
    return [
        name
        for name, one in others
        if isinstance(one, ExposureEntry)
        and may_serve(_ordered(index, namespace, one, profile, recipes), wanted, profile)
    ]


def _ordered(index: Index, namespace: str, entry: ExposureEntry, profile: Profile, recipes: _Recipes) -> Ordered:
    """Return the camera setup of an Exposure; gain and exposure time are only in the recipe of its Observation.

    Parameters
    ----------
    recipes
        Cache of recipes that were read, by Observation.
    """
    said: Mapping[str, tuple[str, float]] = {}
    if entry.observation is not None:
        if entry.observation not in recipes:
            recipes[entry.observation] = _recipe(index, Key("Observation", namespace, entry.observation), profile)
        parent = index.entry(Key("Observation", namespace, entry.observation))
        # The recipe of a later Observation of this name says nothing about an Exposure of the earlier one.
        said = recipes[entry.observation] if index_entries.is_parent(parent, entry) else {}
    gain, exposure_s = said.get(entry.name, (None, None))
    return Ordered(entry.data_type, entry.sensors, gain, exposure_s)


def _recipe(index: Index, key: Key, profile: Profile) -> Mapping[str, tuple[str, float]]:
    """Return gain and exposure time of each Exposure of an Observation; empty if its steps are invalid."""
    try:
        found = index.resource(key)
        planned = exposures_of(found, default_gain=profile.default_gain) if isinstance(found, Observation) else []
    except (ValidationError, BadRequest):
        return {}
    return {one.exposure.metadata.name: (one.gain, one.tinteg_sec) for one in planned}
