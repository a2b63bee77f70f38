"""Configuration files of the programs of a node, as text from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .names import ADDRESS, CLUSTER_DOMAIN
from .network import POD_NETWORK

PAUSE_IMAGE = "localhost/gozen/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


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


def kubelet_config(authority: Path, groups: str, resolv_conf: Path) -> str:
    """Return the configuration of the kubelet.

    Parameters
    ----------
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
            "clusterDNS": [ADDRESS],
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


def _yaml(version: str, kind: str, rest: Mapping[str, Any]) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, **rest}, sort_keys=False)
