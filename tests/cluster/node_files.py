"""What the programs of a node are told: their configuration as text, from plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

POD_NETWORK = "10.244.0.0/24"
PAUSE_IMAGE = "localhost/gozen/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CLUSTER_DOMAIN = "cluster.local"


def cni_conflist() -> str:
    """Return the pod network: a link from each pod to the node, so that every packet meets the rules of Services."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": POD_NETWORK}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return json.dumps({"cniVersion": "0.4.0", "name": "gozen", "plugins": [{"type": "ptp", "ipam": addresses}]})


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


def containerd_config(cni: Path, cni_programs: Path) -> str:
    """Return the configuration of containerd 1.6."""
    cri = "io.containerd.grpc.v1.cri"
    return f"""\
version = 2
disabled_plugins = ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."{cri}"]
  sandbox_image = "{PAUSE_IMAGE}"
  # A container may lack the right to lower its score; the rest of this computer may lack AppArmor.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."{cri}".cni]
    bin_dir = "{cni_programs}"
    conf_dir = "{cni}"
  [plugins."{cri}".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."{cri}".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."{cri}".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def kubelet_config(dns: str, authority: Path, groups: str, resolv_conf: Path) -> str:
    """Return the configuration of the kubelet.

    Parameters
    ----------
    dns
        Address of the name server that pods use.
    authority
        Certificate by which the API server is known.
    groups
        The control group, from the root, that all pods are in.
    resolv_conf
        Names that pods look up without the cluster's server.
    """
    return _yaml(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        {
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": groups,
            "clusterDNS": [dns],
            "clusterDomain": CLUSTER_DOMAIN,
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "enforceNodeAllocatable": [],
            # A disk that is nearly full, as a developer's may be, is no reason to refuse pods or to remove
            # images that cannot be pulled again.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            # Raising limits and lowering scores needs rights that root in a container lacks.
            "maxOpenFiles": 20000,
            "oomScoreAdj": 0,
            "resolvConf": str(resolv_conf),
            # What has changed shows quickly in tests.
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
        },
    )


def proxy_config(kubeconfig: Path) -> str:
    """Return the configuration of kube-proxy."""
    return _yaml(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        {
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": POD_NETWORK,
            "mode": "nftables",
            # The table of connections belongs to the whole computer and is not ours to resize.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        },
    )


def corefile(address: str, kubeconfig: Path) -> str:
    """Return the configuration of CoreDNS: the names of the cluster and no others."""
    return f"""\
. {{
  bind {address}
  errors
  ready {address}:8181
  kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
  }}
  cache 5
}}
"""


def _yaml(version: str, kind: str, rest: Mapping[str, Any]) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, **rest}, sort_keys=False)
