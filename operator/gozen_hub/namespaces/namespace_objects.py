"""The objects of a user's namespace: limits, network, and who may start pods in it.

Each object is applied again at each start of a lab, so that a namespace follows changes of the settings, and whatever a
person changed by hand is restored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gozen.errors import BadRequest
from gozen_hub.hub_settings import NamespaceSettings, QuotaSettings
from gozen_hub.lab_pods import HUB_NOTE

USER = "gozen.astro/user"
"""Annotation of a namespace: the name of its user, as the hub knows it."""
OWNED = {"app.kubernetes.io/part-of": "gozen", "app.kubernetes.io/component": "user"}
_SECURITY = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
_LONGEST = 63
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Applied:
    """An object, and its path at the API server."""

    path: str
    manifest: Manifest


def check_name(name: str, settings: NamespaceSettings) -> None:
    """Refuse a name that does not belong to a user's namespace.

    Raises
    ------
    BadRequest
        The name has another prefix, or is not valid in Kubernetes.
    """
    if len(name) > _LONGEST:
        raise BadRequest(
            f"{name!r} is not a valid name of a namespace: it has more than {_LONGEST} characters; choose a shorter "
            "namespaces.prefix, or a shorter user name"
        )
    if not re.fullmatch(rf"{re.escape(settings.prefix)}-[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise BadRequest(f"{name!r} is not a valid name of a user's namespace: it must begin with {settings.prefix}-")


def check_owner(found: Manifest | None, name: str, user: str, hub: str) -> None:
    """Refuse a namespace that exists already and belongs to another user, or not to Gozen.

    Raises
    ------
    BadRequest
        Two users have names that lead to one namespace, or it was made by another hub, or not for a user.
    """
    meta = (found or {}).get("metadata", {})
    labels = meta.get("labels") or {}
    notes = meta.get("annotations") or {}
    owner, other = notes.get(USER), notes.get(HUB_NOTE)
    ours = all(labels.get(key) == value for key, value in OWNED.items())
    if found is None or (owner == user and other == hub and ours):
        return
    whose = f"belongs to the user {owner!r}" if owner else "was not made for a user of the hub"
    if owner == user and ours:
        # Two releases with one prefix: each would overwrite the other's policies under a lab that runs.
        whose = f"belongs to the hub {other!r}"
    raise BadRequest(
        f"the namespace {name} {whose}; an administrator must delete it or choose another namespaces.prefix"
    )


def user_objects(name: str, user: str, settings: NamespaceSettings) -> Iterator[Applied]:
    """Yield the objects of a namespace in the order in which they are applied; the namespace is the first."""
    labels = OWNED | _SECURITY
    meta = {"name": name, "labels": labels, "annotations": {USER: user, HUB_NOTE: settings.hub_account}}
    yield Applied(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    # Before anything that may start pods: a pod that is there first would run without limits and without policies.
    yield of_namespace("v1", "resourcequotas", "ResourceQuota", name, "user", {"spec": {"hard": quota(settings.quota)}})
    yield of_namespace("v1", "limitranges", "LimitRange", name, "user", {"spec": {"limits": [_container_limits()]}})
    yield of_namespace(
        "v1", "serviceaccounts", "ServiceAccount", name, "default", {"automountServiceAccountToken": False}
    )
    group = "networking.k8s.io/v1"
    yield of_namespace(group, "networkpolicies", "NetworkPolicy", name, "deny", {"spec": _DENY})
    for policy, spec in settings.policies.items():
        yield of_namespace(group, "networkpolicies", "NetworkPolicy", name, policy, {"spec": spec})
    for binding, who in settings.bindings.items():
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": who.role}
        subject = {"kind": "ServiceAccount", "name": who.service_account, "namespace": who.namespace}
        content = {"roleRef": role, "subjects": [subject]}
        yield of_namespace("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", name, binding, content)


def quota(settings: QuotaSettings) -> dict[str, str]:
    """Return the hard limits of a namespace as Kubernetes writes them."""
    return {
        "limits.cpu": f"{settings.cpu:g}",
        "limits.memory": settings.memory,
        "requests.storage": settings.storage,
        "pods": str(settings.pods),
        "secrets": str(settings.secrets),
        # Ways out of the cluster's network, and into its nodes.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


_DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _container_limits() -> Manifest:
    """Return the default limits of containers: a quota on limits refuses pods without them."""
    return {
        "type": "Container",
        "default": {"cpu": "1", "memory": "1Gi"},
        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
    }


def of_namespace(api: str, plural: str, kind: str, namespace: str, name: str, content: Manifest) -> Applied:
    """Return an object of a namespace; `api` is its group and version, `plural` its kind in addresses."""
    root = f"/api/{api}" if api == "v1" else f"/apis/{api}"
    meta = {"name": name, "namespace": namespace, "labels": OWNED}
    manifest = {"apiVersion": api, "kind": kind, "metadata": meta, **content}
    return Applied(f"{root}/namespaces/{namespace}/{plural}/{name}", manifest)
