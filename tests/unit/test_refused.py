"""Test the message about a resource that this version does not understand. Random ones are in tests/property."""

import pytest
from pydantic import ValidationError

from gozen_operator.reconcile.object_fields import parsed
from gozen_operator.reconcile.refused import reconcile_unreadable


def test_what_the_observer_writes_stays_its_own():
    meta = {"name": "field", "namespace": "night", "uid": "u", "resourceVersion": "1", "generation": 1}
    status = {"claim": {"holder": "tomoe"}, "over": True, "completed": 2}
    manifest = {"apiVersion": "gozen.astro/v1alpha1", "kind": "Observation", "metadata": meta, "spec": {}}
    manifest["status"] = status
    with pytest.raises(ValidationError) as refused:
        parsed(manifest)
    plan = reconcile_unreadable(manifest, refused.value, 1.8e9)
    assert plan.status is not None
    assert set(plan.status) == {"completed", "conditions"}
