"""Manifests of the Jobs that publish light curves in Nextcloud, and that remove them again. No I/O.

The pods of these Jobs are the only ones that reach Nextcloud (the chart's NetworkPolicy selects the component
`publish`). They have the account of the observatory. The pods that publish read the archive; the pods that remove files
do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Resource
from gozen.resources.publish_request import PublishRequest
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.job_manifests import (
    IGNORED,
    job_name,
    label_value,
    literal,
    owner_reference,
    pod_spec,
)
from gozen_operator.reconcile.object_fields import GENERATION
from gozen_operator.reconcile.reconcile_plan import Manifest

COMPONENT = "publish"
NEXTCLOUD_MOUNT, CA_MOUNT = "/etc/gozen/nextcloud", "/etc/gozen/nextcloud-ca"
_READ_BY_GROUP = 0o440
_LABEL_OF_OWNER = "gozen.astro/lightcurvejob"
_NUMBERS = 10_000
"""Attempts are numbered modulo this in names of Jobs: a host name has 63 characters, so only four digits fit."""


def publisher_name(job: LightCurveJob) -> str:
    """Return the name of the Job that publishes in the present attempt."""
    return f"{job.metadata.name}-pub-{_number(job)}"


def remover_name(job: LightCurveJob) -> str:
    """Return the name of the Job that removes in the present attempt."""
    return f"{job.metadata.name}-del-{_number(job)}"


def job_names(resource: Resource) -> list[str]:
    """Return the names of all Jobs that a resource has now, or may have."""
    further = [publisher_name(resource), remover_name(resource)] if isinstance(resource, LightCurveJob) else []
    return [job_name(resource), *further]


def is_publishing(manifest: Mapping[str, Any]) -> bool:
    """Tell whether a Job publishes or removes."""
    return bool(manifest["metadata"]["labels"]["app.kubernetes.io/component"] == COMPONENT)


def pod_labels(name: str) -> dict[str, str]:
    """Return the labels that select the pods that publish or remove for the LightCurveJob of this name."""
    return {"app.kubernetes.io/component": COMPONENT, _LABEL_OF_OWNER: label_value(name)}


def publish_job(job: LightCurveJob, settings: OperatorSettings) -> Manifest:
    """Return the Job that publishes the rows of a LightCurveJob that is complete."""
    choice, request = job.spec.selection, job.spec.publish
    assert request is not None
    args = ["share", "publish", *([choice.night] if choice.night else []), f"--table={job.spec.target_catalog}"]
    args += [f"--exposure={one}" for one in choice.exposures]
    args += [f"--region={choice.region.circle}"] if choice.region is not None else []
    args += [f"--run={choice.run}", *_place(job, request), *_readers(request)]
    return _job(job, publisher_name(job), args, settings, reads_archive=True)


def unpublish_job(job: LightCurveJob, settings: OperatorSettings) -> Manifest:
    """Return the Job that removes what was published of a LightCurveJob."""
    assert job.spec.publish is not None
    args = ["share", "unpublish", *_place(job, job.spec.publish)]
    return _job(job, remover_name(job), args, settings, reads_archive=False)


def _number(job: LightCurveJob) -> int:
    attempts = job.status.published.attempts if job.status and job.status.published else 0
    return (attempts + 1) % _NUMBERS


def _place(job: LightCurveJob, request: PublishRequest) -> list[str]:
    name = f"{job.metadata.namespace}/{job.metadata.name}"
    return [f"--folder={literal(request.folder)}", f"--name={name}", "--result=/dev/termination-log"]


def _readers(request: PublishRequest) -> list[str]:
    words = [f"--user={literal(one)}" for one in request.users]
    words += [f"--group={literal(one)}" for one in request.groups]
    words += ["--link"] if request.link else []
    words += [f"--link-days={request.link_days}"] if request.link_days is not None else []
    words += [f"--link-password-file={NEXTCLOUD_MOUNT}/link-password"] if request.link_password else []
    return words


def _job(
    job: LightCurveJob, name: str, args: Sequence[str], settings: OperatorSettings, *, reads_archive: bool
) -> Manifest:
    labels = {
        "app.kubernetes.io/name": "gozen",
        "app.kubernetes.io/part-of": "gozen",
        **pod_labels(job.metadata.name),
        GENERATION: str(job.metadata.generation or 0),
    }
    queue = {"kueue.x-k8s.io/queue-name": settings.pods.queue} if settings.pods.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": job.metadata.namespace,
            "labels": {**labels, **queue},
            "ownerReferences": [owner_reference(job)],
        },
        "spec": {
            # The operator tries again, with longer pauses, and the status says when.
            "backoffLimit": 0,
            "activeDeadlineSeconds": settings.job_deadline_s,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [IGNORED]},
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(args, settings, reads_archive=reads_archive),
            },
        },
    }


def _pod(args: Sequence[str], settings: OperatorSettings, *, reads_archive: bool) -> dict[str, Any]:
    publish, pods = settings.publish, settings.pods
    own: dict[str, Any] = {
        "service_account": publish.service_account,
        "requests": publish.requests,
        "limits": publish.limits,
        "secret": (publish.archive_secret or pods.secret) if reads_archive else None,
        "volume": pods.volume if reads_archive else None,
    }
    spec = pod_spec(args, pods.model_copy(update=own), express=False)
    (container,) = spec["containers"]
    for mount in container["volumeMounts"]:
        if mount["name"] == "archive":
            mount["readOnly"] = True
    container["env"] += [
        {"name": "GOZEN_SHARING__URL", "value": publish.url},
        {"name": "GOZEN_SHARING__USER", "value": publish.user},
        {"name": "GOZEN_SHARING__PASSWORD_FILE", "value": f"{NEXTCLOUD_MOUNT}/password"},
    ]
    # As a file: environment variables are printed by crashes and people.
    container["volumeMounts"].append({"name": "nextcloud", "mountPath": NEXTCLOUD_MOUNT, "readOnly": True})
    # A pod would wait for a missing Secret until its deadline; without the file it ends, and says which one it needs.
    secret = {"secretName": publish.secret, "defaultMode": _READ_BY_GROUP, "optional": True}
    spec["volumes"].append({"name": "nextcloud", "secret": secret})
    if publish.ca_map:
        container["env"].append({"name": "GOZEN_SHARING__CA_FILE", "value": f"{CA_MOUNT}/ca.pem"})
        container["volumeMounts"].append({"name": "nextcloud-ca", "mountPath": CA_MOUNT, "readOnly": True})
        spec["volumes"].append({"name": "nextcloud-ca", "configMap": {"name": publish.ca_map}})
    return spec
