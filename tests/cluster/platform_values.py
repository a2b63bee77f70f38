"""Values of the chart for the platform of the tests and of ``make platform``: small pods, and a test log-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .platform_images import values_of_images

USERS = ("hoshi", "sora")
ADMIN = "taiyo"
PROGRAMS = ("hub", "proxy", "namespaces", "portal", "credentials", "workers", "dask-controller")


@dataclass(frozen=True)
class Site:
    """What a release of the platform stands on.

    Parameters
    ----------
    images
        Tags by the name that the chart has for each image.
    endpoint
        Address of the S3 server, as pods see it.
    api_server
        Addresses and port of the API server, as pods see it.
    homes
        The StorageClass of homes; None for that of the cluster.
    """

    images: Mapping[str, str]
    endpoint: str
    api_server: tuple[Sequence[str], int]
    homes: str | None


def values_of(site: Site, port: int) -> dict[str, Any]:
    """Return the values for a site; the hub is reached at a port of this computer."""
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    addresses, api_port = site.api_server
    return {
        "archive": {
            "url": "s3://sky/archive",
            "s3": {"endpointUrl": site.endpoint, "region": "us-east-1", "secretName": "gozen-s3"},
        },
        "images": values_of_images(site.images),
        "operator": {"resources": small},
        "networkPolicy": {"apiServer": {"to": [{"ipBlock": {"cidr": one}} for one in addresses], "ports": [api_port]}},
        "priorityClasses": {"express": {"name": "platform-express"}, "default": {"name": "platform-default"}},
        "hub": {
            "enabled": True,
            "publicUrl": f"http://localhost:{port}",
            "loginSecretName": "gozen-login",
            "database": {"volume": False},
            "workers": {"enabled": True},
            "settings": _settings(site),
            "resources": dict.fromkeys(PROGRAMS, small),
        },
    }


def _settings(site: Site) -> dict[str, Any]:
    """Return settings of the hub."""
    profile = {"title": "Standard", "cpu": 2, "cpu_guarantee": 0.02, "memory": "2G", "memory_guarantee": "64M"}
    home = {"size": "1Gi", **({"storage_class": site.homes} if site.homes else {})}
    files = {"password_file": "/etc/gozen/login/password", "admin_password_file": "/etc/gozen/login/admin"}
    return {
        "login": {"method": "test", "test": {"users": [*USERS, ADMIN], **files}, "admins": [ADMIN]},
        "lab": {"profiles": [profile], "home": home},
        "workers": {"most": 2, "cpu": 1, "cpu_guarantee": 0.02, "memory": "1G", "memory_guarantee": "64M"},
        "idle": {"check_s": 5},
        "access": {"everyone": True},
        "credentials": {"method": "static", "check_s": 5},
    }
