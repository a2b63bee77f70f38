"""Configuration of Calico, which provides the pods' network and enforces NetworkPolicies.

Calico stores its state in custom resources of the API server. They are defined here by name only; Felix, which reads
them, checks their content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

POD_NETWORK = "10.244.0.0/24"
FELIX_PORT = 9099
PLUGINS = ("loopback", "host-local")
_GROUP = "crd.projectcalico.org"
_KINDS = (
    *("BGPConfiguration", "BGPFilter", "BGPPeer", "BlockAffinity", "CalicoNodeStatus", "ClusterInformation"),
    *("FelixConfiguration", "GlobalNetworkPolicy", "GlobalNetworkSet", "HostEndpoint", "IPAMBlock", "IPAMConfig"),
    *("IPAMHandle", "IPPool", "IPReservation", "KubeControllersConfiguration", "NetworkPolicy", "NetworkSet"),
)
_OF_A_NAMESPACE = ("NetworkPolicy", "NetworkSet")


def cni_conflist(node: str, kubeconfig: Path, log: Path) -> str:
    """Return the pod network: a link from each pod to the node, on which Felix puts the rules of its policies."""
    calico = {
        "type": "calico",
        "datastore_type": "kubernetes",
        "nodename": node,
        "nodename_file_optional": True,
        "mtu": 1500,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_NETWORK}]]},
        "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": str(kubeconfig)},
        "log_level": "warning",
        "log_file_path": str(log),
    }
    return json.dumps({"cniVersion": "0.3.1", "name": "gozen", "plugins": [calico]})


def masquerade() -> str:
    """Return rules for nft: pods reach the host, as S3 in the tests, with the address of the node."""
    return f"""\
table ip gozen {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {POD_NETWORK} oifname "eth0" masquerade
  }}
}}
"""


def plugins_folder(folder: Path, system: Path, calico: Path) -> Path:
    """Make the one folder where containerd looks for all programs of the network."""
    folder.mkdir()
    (folder / "calico").symlink_to(calico)
    for name in PLUGINS:
        (folder / name).symlink_to(system / name)
    return folder


def felix_environment(node: str, address: str, kubeconfig: Path) -> Mapping[str, str]:
    """Return what Felix is told: that the node is an address like any other, which a policy allows or does not."""
    settings = {
        "DATASTORETYPE": "kubernetes",
        "FELIXHOSTNAME": node,
        "IPTABLESBACKEND": "nft",
        "DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
        "HEALTHENABLED": "true",
        "HEALTHHOST": address,
        "HEALTHPORT": str(FELIX_PORT),
        "LOGFILEPATH": "none",
        "LOGSEVERITYSCREEN": "Warning",
        "MTUIFACEPATTERN": "^eth0$",
        "AWSSRCDSTCHECK": "DoNothing",
    }
    off = ("USAGEREPORTINGENABLED", "IPV6SUPPORT", "BPFENABLED", "XDPENABLED", "IPINIPENABLED", "VXLANENABLED")
    settings |= dict.fromkeys(off, "false")
    return {f"FELIX_{name}": value for name, value in settings.items()} | {"KUBECONFIG": str(kubeconfig)}


def custom_resources() -> str:
    """Return the kinds in which Calico keeps what it knows."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [_definition(kind) for kind in _KINDS]})


def cluster_information() -> str:
    """Return what tells Felix that the API server is ready for it."""
    information = {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterInformation", "metadata": {"name": "default"}}
    return json.dumps({**information, "spec": {"datastoreReady": True}})


def _definition(kind: str) -> dict[str, object]:
    singular = kind.lower()
    plural = f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}{'es' * singular.endswith('s') or 's'}"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular},
            "scope": "Namespaced" if kind in _OF_A_NAMESPACE else "Cluster",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
