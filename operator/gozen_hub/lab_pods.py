"""The pods of labs in a cluster: the configuration of KubeSpawner, computed from the settings."""

from __future__ import annotations

from typing import Any

from gozen_hub.full_home import RUNTIME
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_settings import Profile

HOME = "/home/gozen"
DATA = "/data"
CREDENTIALS = "/etc/gozen/s3"
CREDENTIALS_SECRET = "gozen-archive"  # noqa: S105 - the name of a Secret
USER_ID = 10001
LABS = "app.kubernetes.io/part-of=gozen,app.kubernetes.io/component=lab"
"""Selector of the pods of labs."""
USER_NOTE, SERVER_NOTE = "hub.jupyter.org/username", "hub.jupyter.org/servername"
"""Annotations with which KubeSpawner names the user and the server of a lab."""
HUB_NOTE = "gozen.astro/hub"
"""Annotation of a lab, and of a user's namespace, with the account of the hub to which it belongs."""
_LABELS = {"app.kubernetes.io/part-of": "gozen", "app.kubernetes.io/component": "lab"}
RESTRICTED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def pod_traits(settings: HubSettings) -> dict[str, Any]:
    """Return the configuration of KubeSpawner.

    Labs run under the level `restricted` of pod security, without a token of Kubernetes.
    """
    lab, home = settings.lab, settings.lab.home
    first = lab.profiles[0]
    return {
        "enable_user_namespaces": True,
        "user_namespace_template": f"{settings.namespaces.prefix}-{{username}}",
        "slug_scheme": "safe",
        "image": first.image or lab.image,
        "image_pull_policy": lab.pull_policy,
        "image_pull_secrets": list(lab.pull_secrets),
        "cmd": ["gozen-lab"],
        "uid": USER_ID,
        "gid": USER_ID,
        "fs_gid": USER_ID,
        "allow_privilege_escalation": False,
        "container_security_context": {"capabilities": {"drop": ["ALL"]}},
        "pod_security_context": {**RESTRICTED, "fsGroupChangePolicy": "OnRootMismatch"},
        "automount_service_account_token": False,
        "service_account": "default",
        "extra_pod_config": {"enableServiceLinks": False},
        # KubeSpawner writes this label after all others; the network policies of labs select by it.
        "component_label": "lab",
        "common_labels": {"app.kubernetes.io/name": "gozen", **_LABELS},
        "extra_annotations": {HUB_NOTE: settings.namespaces.hub_account},
        "storage_pvc_ensure": True,
        "pvc_name_template": "home",
        "storage_capacity": home.size,
        "storage_class": home.storage_class,
        "storage_access_modes": [home.access_mode],
        "delete_pvc": home.when_user_is_deleted == "delete",
        "volumes": _volumes(settings),
        "volume_mounts": _mounts(settings),
        "working_dir": HOME,
        "notebook_dir": HOME,
        # KubeSpawner fills in names in braces; a brace of a value is doubled, so that it stays one.
        "environment": {
            RUNTIME: "/tmp/jupyter",  # noqa: S108 - a home that is full must not keep kernels from starting
            **{name: value.replace("{", "{{").replace("}", "}}") for name, value in lab_environment(settings).items()},
        },
        "node_selector": dict(lab.node_selector),
        "start_timeout": lab.start_timeout_s,
        "http_timeout": lab.start_timeout_s,
        "delete_stopped_pods": True,
        "slow_spawn_message_threshold": 0,  # it would hide the sentence that says what the lab waits for
        "profile_list": [] if len(lab.profiles) == 1 else [_profile(one, settings) for one in lab.profiles],
        "profile_form_template": "",
        **_size(first),
    }


def lab_environment(settings: HubSettings) -> dict[str, str]:
    """Return the environment of a lab: in addition to the shared one, the notebooks and the services of the hub."""
    found = {
        "GOZEN_NOTEBOOKS": str(settings.notebooks),
        "JUPYTERHUB_ACTIVITY_INTERVAL": str(settings.idle.check_s),
    }
    if settings.workers.url:
        found["GOZEN_WORKERS_URL"] = settings.workers.url
    if settings.nextcloud.service_url:
        found["GOZEN_NEXTCLOUD_ACCOUNTS_URL"] = settings.nextcloud.service_url
    if settings.nextcloud.url:
        found["GOZEN_SHARING__URL"] = settings.nextcloud.url
    if settings.nextcloud.home_folder:
        found["GOZEN_SHARING__HOME_FOLDER"] = settings.nextcloud.home_folder
    return {**found, **shared_environment(settings)}


def shared_environment(settings: HubSettings) -> dict[str, str]:
    """Return the environment of labs and workers: the archive, how to read it, and the variables that the site adds."""
    archive = settings.archive
    found = {"GOZEN_ARCHIVE": DATA if archive.mounted else archive.url, **archive.environment}
    if settings.where == "cluster" and archive.url.startswith("s3://"):
        found["AWS_SHARED_CREDENTIALS_FILE"] = f"{CREDENTIALS}/credentials"
        found["AWS_EC2_METADATA_DISABLED"] = "true"
        # Gozen has a separate setting; s3fs and libraries that use it read this variable.
        found["AWS_ENDPOINT_URL"] = archive.environment.get("GOZEN_STORAGE__ENDPOINT_URL", "")
    return {**{name: value for name, value in found.items() if value}, **settings.lab.environment}


def _volumes(settings: HubSettings) -> list[dict[str, Any]]:
    home = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    return [home, {"name": "tmp", "emptyDir": {}}, *archive_volumes(settings)]


def archive_volumes(settings: HubSettings) -> list[dict[str, Any]]:
    """Return the volumes with which labs and workers read the archive: the user's credentials, or the claim."""
    found: list[dict[str, Any]] = []
    if settings.archive.url.startswith("s3://"):
        # Not required: without it a lab starts, and says what is missing when the archive is read.
        secret = {"secretName": CREDENTIALS_SECRET, "optional": True, "defaultMode": 0o440}
        found.append({"name": "s3", "secret": secret})
    if settings.archive.mounted:
        claim = {"claimName": settings.archive.mounted, "readOnly": True}
        found.append({"name": "data", "persistentVolumeClaim": claim})
    return found


def _mounts(settings: HubSettings) -> list[dict[str, Any]]:
    home = {"name": "home", "mountPath": HOME}
    return [home, {"name": "tmp", "mountPath": "/tmp"}, *archive_mounts(settings)]  # noqa: S108


def archive_mounts(settings: HubSettings) -> list[dict[str, Any]]:
    """Return the mounts at which a container finds the volumes of `archive_volumes`."""
    found: list[dict[str, Any]] = []
    if settings.archive.url.startswith("s3://"):
        found.append({"name": "s3", "mountPath": CREDENTIALS, "readOnly": True})
    if settings.archive.mounted:
        found.append({"name": "data", "mountPath": DATA, "readOnly": True})
    return found


def _profile(profile: Profile, settings: HubSettings) -> dict[str, Any]:
    lab = settings.lab
    return {
        "display_name": profile.title,
        "description": profile.description,
        "default": profile is lab.profiles[0],
        "kubespawner_override": {"image": profile.image or lab.image, **_size(profile)},
    }


def _size(profile: Profile) -> dict[str, Any]:
    return {
        "cpu_limit": profile.cpu,
        "cpu_guarantee": profile.cpu_guarantee,
        "mem_limit": profile.memory,
        "mem_guarantee": profile.memory_guarantee,
    }
