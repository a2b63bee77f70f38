"""Manifests of the Jobs that work on data: pods, retries (`podFailurePolicy`), owner references. No I/O.

The same resource gives the same Job, under a derived name; the garbage collection of the cluster removes it with its
owner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gozen.errors import ExitCode
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import API_VERSION, Resource
from gozen_operator.operator_settings import OperatorSettings, PodSettings
from gozen_operator.reconcile.object_fields import Key
from gozen_operator.reconcile.reconcile_plan import Manifest

ARCHIVE_MOUNT, PROFILES_MOUNT, SECRET_MOUNT = "/archive", "/etc/gozen/profiles", "/etc/gozen/s3"
_READ_BY_GROUP = 0o440
_LONGEST_LABEL = 63
TABLE = "gozen.astro/table"
"""Label of a Job that appends: the table."""
ENDS_ALL, ENDS_ITS_GROUP = (ExitCode.BAD_REQUEST,), (ExitCode.UNREADABLE_INPUT, ExitCode.BUG)
"""Exit codes that a retry would repeat: for every pod of the Job, or for the same sensors."""
IGNORED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
"""Rule of a `podFailurePolicy`: a pod that the cluster has evicted is replaced, and does not count."""


def exposure_key(exposure: Exposure) -> str:
    """Return the name of an Exposure in the archive: its EXP_ID."""
    return f"{exposure.spec.exposure_id:08d}"


def exposure_job(exposure: Exposure, sensors: Sequence[str], settings: OperatorSettings) -> Manifest:
    """Return the Indexed Job that reduces an Exposure; each index reduces a group of its sensors.

    Parameters
    ----------
    sensors
        The sensors to reduce, in the profile's order.
    """
    spec = exposure.spec
    night, size = str(spec.night), spec.sensors_per_pod
    shared = ["--instrument", spec.instrument, "--part", "$(JOB_COMPLETION_INDEX)", "--part-size", str(size)]
    which = [word for sensor in sensors for word in ("--sensor", sensor)]
    which += ["--raw-url", literal(spec.raw_url)] if spec.raw_url is not None else []
    if spec.data_type == "OBJECT":
        pipelines = ",".join(spec.pipelines)
        args = ["reduce", night, exposure_key(exposure), "--pipelines", pipelines, "--run", spec.run, *shared, *which]
        args += ["--retain-raw"] if spec.retain_raw else []
    else:
        args = ["masters", "--night", night, "--exposure", exposure_key(exposure), *shared, *which]
    labels = {"gozen.astro/exposure": exposure.metadata.name, "gozen.astro/night": night}
    if spec.observation_ref is not None:
        labels["gozen.astro/observation"] = spec.observation_ref.name
    express = spec.priority_class == "express"
    return _job(exposure, args, labels, math.ceil(len(sensors) / size), express=express, settings=settings)


def lightcurve_job(job: LightCurveJob, settings: OperatorSettings) -> Manifest:
    """Return the Job that appends a selection to a table."""
    spec = job.spec
    choice = spec.selection
    args = ["night", "append", *([choice.night] if choice.night else []), "--table", spec.target_catalog]
    args += [word for one in choice.exposures for word in ("--exposure", one)]
    if choice.region is not None:
        args += ["--region", str(choice.region.circle)]
    args += ["--run", choice.run, "--result", "/dev/termination-log"]
    labels = {"gozen.astro/lightcurvejob": job.metadata.name, TABLE: spec.target_catalog}
    return _job(job, args, labels, 1, express=False, settings=settings)


def _job(
    owner: Resource,
    args: Sequence[str],
    labels: Mapping[str, str],
    completions: int,
    *,
    express: bool,
    settings: OperatorSettings,
) -> Manifest:
    kind = type(owner).__name__
    component = "reduction" if kind == "Exposure" else "append"
    labels = {
        "app.kubernetes.io/name": "gozen",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "gozen",
        **{word: label_value(value) for word, value in labels.items()},
    }
    queue = {"kueue.x-k8s.io/queue-name": settings.pods.queue} if settings.pods.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            # Derived: a create whose answer was lost meets a 409, and no second Job is made.
            "name": job_name(owner),
            "namespace": owner.metadata.namespace,
            "labels": {**labels, **queue},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            # No ttlSecondsAfterFinished: an operator that was away would find neither Job nor outcome.
            "completionMode": "Indexed",
            "completions": completions,
            "parallelism": completions,
            "backoffLimitPerIndex": settings.retries,
            "maxFailedIndexes": completions,
            # A pod that hangs on storage would keep its place among the active Jobs for ever.
            "activeDeadlineSeconds": settings.job_deadline_s,
            # A pod that is terminating may still commit; its replacement waits until it has ended.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(args, settings.pods, express=express)},
        },
    }


def job_name(owner: Resource) -> str:
    """Return the name of a resource's Job: the resource's name, with a suffix unless the resource is an Exposure."""
    return job_key(Key(type(owner).__name__, "", owner.metadata.name)).name


def job_key(owner: Key) -> Key:
    """Return the key of the Job that a resource has, or may have."""
    return Key("Job", owner.namespace, owner.name if owner.kind == "Exposure" else f"{owner.name}-append")


def label_value(text: str) -> str:
    """Return a text shortened to a valid label value."""
    return text[:_LONGEST_LABEL].rstrip("_")


def literal(text: str) -> str:
    """Return an argument in which Kubernetes does not expand ``$(NAME)``."""
    return text.replace("$", "$$")


def owner_reference(owner: Resource) -> dict[str, Any]:
    """Return the reference with which an object names the resource that owns it."""
    return {
        "apiVersion": API_VERSION,
        "kind": type(owner).__name__,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _failure_rules() -> list[dict[str, Any]]:
    """Return the rules for exit codes (docs/reference/errors.md): any other code is a failure and is retried."""

    def on(action: str, *codes: ExitCode) -> dict[str, Any]:
        return {
            "action": action,
            "onExitCodes": {"containerName": "gozen", "operator": "In", "values": [int(code) for code in codes]},
        }

    return [
        IGNORED,
        on("FailJob", *ENDS_ALL),
        on("FailIndex", *ENDS_ITS_GROUP),
    ]


def pod_spec(args: Sequence[str], pods: PodSettings, *, express: bool) -> dict[str, Any]:
    """Return the specification of a pod that runs `gozen` with these arguments."""
    mounts: list[dict[str, Any]] = [{"name": "archive", "mountPath": ARCHIVE_MOUNT}] if pods.volume else []
    if pods.profiles_map:
        mounts.append({"name": "profiles", "mountPath": PROFILES_MOUNT, "readOnly": True})
    if pods.secret:
        # Credentials are no part of the environment, which crashes and people print.
        mounts.append({"name": "s3", "mountPath": SECRET_MOUNT, "readOnly": True})
    container = {
        "name": "gozen",
        "image": pods.image,
        "imagePullPolicy": pods.pull_policy,
        "args": list(args),
        "envFrom": [{"configMapRef": {"name": pods.settings_map}}],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "GOZEN_WORKERS", "value": "1"}],  # noqa: S108 - in the pod
        "resources": {"requests": pods.requests, "limits": pods.limits},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}, *mounts],  # noqa: S108 - in the pod
    }
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {"sizeLimit": pods.scratch_limit}}]
    volumes += [{"name": "archive", **pods.volume}] if pods.volume else []
    volumes += [{"name": "profiles", "configMap": {"name": pods.profiles_map}}] if pods.profiles_map else []
    if pods.secret:
        volumes.append({"name": "s3", "secret": {"secretName": pods.secret, "defaultMode": _READ_BY_GROUP}})
    return {
        "restartPolicy": "Never",
        "serviceAccountName": pods.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": pods.express_class if express else pods.default_class,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
