"""Test the objects of a user's namespace, and which names and owners are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gozen.errors import BadRequest
from gozen_hub.hub_settings import NamespaceSettings
from gozen_hub.namespaces.namespace_objects import USER, check_name, check_owner, user_objects

ACCOUNT = "gozen/gozen-hub"
SETTINGS = NamespaceSettings.model_validate(
    {
        "hub_account": ACCOUNT,
        "policies": {"lab": {"podSelector": {}, "policyTypes": ["Egress"]}},
        "bindings": {"hub": {"role": "gozen-hub-labs", "service_account": "gozen-hub", "namespace": "gozen"}},
    }
)


def objects() -> dict[str, dict[str, Any]]:
    found = user_objects("gozen-user-hoshi", "hoshi", SETTINGS)
    return {f"{one.manifest['kind']}/{one.manifest['metadata']['name']}": one.manifest for one in found}


def test_limits_and_policies_come_before_those_who_may_start_pods() -> None:
    kinds = [one.manifest["kind"] for one in user_objects("gozen-user-hoshi", "hoshi", SETTINGS)]
    assert kinds[0] == "Namespace"
    assert kinds[-1] == "RoleBinding"
    assert kinds.index("NetworkPolicy") < kinds.index("RoleBinding")
    assert kinds.index("ResourceQuota") < kinds.index("RoleBinding")


def test_pods_are_restricted_and_everything_is_denied_that_no_policy_allows() -> None:
    found = objects()
    labels = found["Namespace/gozen-user-hoshi"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert found["NetworkPolicy/deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert found["ServiceAccount/default"]["automountServiceAccountToken"] is False
    assert found["ResourceQuota/user"]["spec"]["hard"]["services.nodeports"] == "0"


def test_the_hub_gets_its_role_in_this_namespace_alone() -> None:
    binding = objects()["RoleBinding/hub"]
    assert binding["metadata"]["namespace"] == "gozen-user-hoshi"
    assert binding["roleRef"]["name"] == "gozen-hub-labs"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gozen-hub", "namespace": "gozen"}]


@pytest.mark.parametrize(
    "name",
    ["kube-system", "gozen-user", "gozen-user-", "gozen-user-Hoshi", "gozen-user-a/b", ""],
)
def test_a_name_that_is_not_that_of_a_user_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="must begin with gozen-user-"):
        check_name(name, SETTINGS)


def test_a_valid_name_passes() -> None:
    check_name("gozen-user-hoshi---3f2a1b4c", SETTINGS)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadRequest, match="it has more than 63 characters"):
        check_name("gozen-user-" + "a" * 60, SETTINGS)


def test_the_namespace_of_another_user_is_refused() -> None:
    mine = objects()["Namespace/gozen-user-hoshi"]
    check_owner(None, "gozen-user-hoshi", "hoshi", ACCOUNT)
    check_owner(mine, "gozen-user-hoshi", "hoshi", ACCOUNT)
    with pytest.raises(BadRequest, match="belongs to the user 'hoshi'"):
        check_owner(mine, "gozen-user-hoshi", "Hoshi", ACCOUNT)


def test_the_namespace_of_another_hub_is_refused() -> None:
    mine = objects()["Namespace/gozen-user-hoshi"]
    with pytest.raises(BadRequest, match=r"belongs to the hub 'gozen/gozen-hub'.*another namespaces\.prefix"):
        check_owner(mine, "gozen-user-hoshi", "hoshi", "staging/gozen-hub")


def test_a_namespace_that_somebody_else_made_is_refused() -> None:
    theirs = {"metadata": {"name": "gozen-user-hoshi", "annotations": {USER: "hoshi"}}}
    with pytest.raises(BadRequest, match="belongs to the user"):
        check_owner(theirs, "gozen-user-hoshi", "hoshi", ACCOUNT)
    with pytest.raises(BadRequest, match="was not made for a user"):
        check_owner({"metadata": {"name": "gozen-user-hoshi"}}, "gozen-user-hoshi", "hoshi", ACCOUNT)
