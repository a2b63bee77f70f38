"""An S3 server as a pod: versitygw over a folder that goes with the pod, and its Service."""

from __future__ import annotations

from typing import Any

from tests.services.s3_server import KEY, SECRET

USER_ID = 10001
FOLDER = "/archive"


def store_manifests(image: str, namespace: str, port: int) -> dict[str, Any]:
    """Return namespace, pod and Service, all of which but the first are named ``store``."""
    meta = {"name": "store", "namespace": namespace, "labels": {"app": "store"}}
    service = {"selector": {"app": "store"}, "ports": [{"port": port, "targetPort": port}]}
    parts = [
        {"kind": "Namespace", "metadata": {"name": namespace}},
        {"kind": "Pod", "metadata": meta, "spec": _pod(image, port)},
        {"kind": "Service", "metadata": meta, "spec": service},
    ]
    return {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", **part} for part in parts]}


def _pod(image: str, port: int) -> dict[str, Any]:
    keys = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    container = {
        "name": "store",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--port", f":{port}", "--quiet", "posix", FOLDER],
        "env": [{"name": name, "value": value} for name, value in keys.items()],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "archive", "mountPath": FOLDER}],
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "archive", "emptyDir": {}}],
    }
