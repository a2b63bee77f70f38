"""DNS in a cluster: CoreDNS as a pod in kube-system, as in every Kubernetes."""

from __future__ import annotations

import json
from typing import Any

CLUSTER_DOMAIN = "cluster.local"
ADDRESS = "10.96.0.10"
IMAGE = "localhost/gozen/coredns:1"
_LABELS = {"k8s-app": "kube-dns"}
_PLACE = {"name": "coredns", "namespace": "kube-system"}
_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def corefile() -> str:
    """Return the configuration of CoreDNS: the names of the cluster and no others."""
    return f"""\
. {{
  errors
  ready
  kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
    pods insecure
  }}
  cache 5
}}
"""


def manifests() -> str:
    """Return all that makes it run."""
    ports = [{"name": name, "port": 53, "protocol": protocol} for name, protocol in _PORTS]
    service = {"clusterIP": ADDRESS, "selector": _LABELS, "ports": ports}
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "coredns"}
    items = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _PLACE},
        {**_rbac("ClusterRole"), "rules": _rights()},
        {**_rbac("ClusterRoleBinding"), "roleRef": role, "subjects": [account]},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _PLACE, "data": {"Corefile": corefile()}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {**_PLACE, "name": "kube-dns"}, "spec": service},
        _deployment(),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _rbac(kind: str) -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "coredns"}}


def _rights() -> list[dict[str, Any]]:
    watched = {"verbs": ["list", "watch"]}
    return [
        {"apiGroups": [""], "resources": ["services", "endpoints", "namespaces"], **watched},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], **watched},
    ]


def _deployment() -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": name, "containerPort": 53, "protocol": protocol} for name, protocol in _PORTS],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    template = {"metadata": {"labels": _LABELS}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**_PLACE, "labels": _LABELS}, "spec": spec}
