"""Which DARK and FLAT Exposures an Exposure waits for: those of its night that may become its masters. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from gozen.errors import BadRequest
from gozen.instrument.profile import Profile
from gozen.observing.calibration_steps import Ordered, kinds_for, may_serve
from gozen.observing.observation_plan import exposures_of
from gozen.resources.observation import Observation
from gozen_operator.index import index_entries
from gozen_operator.index.index_entries import ExposureCard
from gozen_operator.index.object_index import Index
from gozen_operator.reconcile.object_fields import Key

_Recipes = dict[str, Mapping[str, tuple[str, float]]]


def awaited_calibration(index: Index, namespace: str, card: ExposureCard, profile: Profile) -> list[str]:
    """Return the calibration Exposures that have to be complete before this one is reduced, in their order."""
    if card.exposure_id is None:
        return []
    names: list[str] = []
    for kind in kinds_for(card.data_type, profile):
        heading = index_entries.calibration(namespace, card.instrument, kind, card.night)
        names += index.under(heading, most=index.before(heading, (card.exposure_id,)))
    if not names:
        return []
    recipes: _Recipes = {}
    wanted = _ordered(index, namespace, card, profile, recipes)
    others = [(name, index.card(Key("Exposure", namespace, name))) for name in names]
    return [
        name
        for name, one in others
        if isinstance(one, ExposureCard)
        and may_serve(_ordered(index, namespace, one, profile, recipes), wanted, profile)
    ]


def _ordered(index: Index, namespace: str, card: ExposureCard, profile: Profile, recipes: _Recipes) -> Ordered:
    """Return how an Exposure is to be taken; its recipe says more than itself.

    Parameters
    ----------
    recipes
        Those that were read already, by Observation.
    """
    said: Mapping[str, tuple[str, float]] = {}
    if card.observation is not None:
        if card.observation not in recipes:
            recipes[card.observation] = _recipe(index, Key("Observation", namespace, card.observation), profile)
        parent = index.card(Key("Observation", namespace, card.observation))
        said = recipes[card.observation] if index_entries.is_parent(parent, card) else {}
    gain, exposure_s = said.get(card.name, (None, None))
    return Ordered(card.data_type, card.sensors, gain, exposure_s)


def _recipe(index: Index, key: Key, profile: Profile) -> Mapping[str, tuple[str, float]]:
    """Return gain and exposure time of each Exposure of an Observation; nothing where its steps are not understood."""
    try:
        found = index.resource(key)
        planned = exposures_of(found, default_gain=profile.default_gain) if isinstance(found, Observation) else []
    except (ValidationError, BadRequest):
        return {}
    return {one.exposure.metadata.name: (one.gain, one.tinteg_sec) for one in planned}
