"""``gozen apply/get/describe/logs/cancel``: work with the cluster without kubectl.

The entry-point group ``gozen.commands`` adds them to the ``gozen`` command; slow imports happen only when one runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gozen.errors import BadRequest, reason_of

if TYPE_CHECKING:
    from gozen_operator.api_server.client import KubeApi
    from gozen_operator.reconcile.object_fields import Key

MANAGER = "gozen-cli"

Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; default: that of the kubeconfig's current context.")
]
KindName = Annotated[
    str, typer.Argument(metavar="KIND", help="Kind: obs (Observation), exp (Exposure) or lcj (LightCurveJob).")
]
KindWithPods = Annotated[str, typer.Argument(metavar="KIND", help="Kind: exp (Exposure) or lcj (LightCurveJob).")]
ResourceName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the resource.")]


def apply(
    file: Annotated[
        Path, typer.Argument(help="YAML file of Observations, Exposures or LightCurveJobs; or a recipe with --night.")
    ],
    night: Annotated[str | None, typer.Option(help="Night YYYYMMDD; give it only if FILE is a recipe.")] = None,
    instrument: Annotated[
        str, typer.Option(help="Instrument profile; its site defines when the night of a recipe begins.")
    ] = "tomoe",
    namespace: Namespace = None,
) -> None:
    """Create or change the resources of a file in the cluster.

    Without a cluster, `gozen run` reduces what the same recipe or the same Observations request.
    """
    resources = _read(file, night, instrument)
    api, where = _connected(namespace)
    for resource in resources:
        manifest = resource.wire()
        manifest.pop("status", None)
        manifest["metadata"] = {**manifest["metadata"], "namespace": resource.metadata.namespace or where}
        made = api.apply(manifest, manifest["metadata"]["namespace"], MANAGER)
        if made["metadata"].get("deletionTimestamp"):
            name = resource.metadata.name
            raise BadRequest(
                f"{resource.kind} {name} is being deleted; wait until `gozen get` does not list it any more, then "
                "apply it again"
            )
        typer.echo(f"{resource.kind} {resource.metadata.name} applied in {manifest['metadata']['namespace']}")
    typer.echo(f"next: gozen describe {resources[0].kind} {resources[0].metadata.name}")


def get(
    kind: KindName = "obs",
    name: Annotated[str | None, typer.Argument(help="Name of one resource; default: all.")] = None,
    namespace: Namespace = None,
) -> None:
    """List resources of the cluster."""
    api, where = _connected(namespace)
    titles, rows = api.table(_kind(kind), where, name)
    if not rows:
        typer.echo(f"no {_kind(kind)}s in {where}")
        return
    _columns([titles, *rows])


def describe(kind: KindName, name: ResourceName, namespace: Namespace = None) -> None:
    """Print the state of a resource: conditions, sensors that were rejected or failed, and events."""
    api, where = _connected(namespace)
    key, manifest = _found(api, kind, name, where)
    status, meta = manifest.get("status") or {}, manifest["metadata"]
    typer.echo(f"{key.kind} {name} in {where}, applied {meta['creationTimestamp']}")
    counts = [
        f"{word} {status[word]}" for word in ("sensors", "reduced", "rejected", "failed", "rows") if word in status
    ]
    if counts:
        typer.echo(", ".join(counts))
    rows = [[one["type"], one["status"], one["reason"], one.get("message", "")] for one in status.get("conditions", [])]
    _columns([["CONDITION", "STATUS", "REASON", "MESSAGE"], *rows])
    ends = [[one["sensor"], one["result"], one["reason"], one.get("message", "")] for one in status.get("outcomes", [])]
    if ends:
        _columns([["SENSOR", "RESULT", "REASON", "MESSAGE"], *ends])
    events = [
        [one.get("eventTime") or "", one["type"], one["reason"], one.get("note", "")]
        for one in api.events_of(key, meta["uid"])
    ]
    if events:
        _columns([["EVENT AT", "TYPE", "REASON", "MESSAGE"], *events])


def logs(kind: KindWithPods, name: ResourceName, namespace: Namespace = None) -> None:
    """Print the logs of the pods of an Exposure or a LightCurveJob, also of those that publish it."""
    api, where = _connected(namespace)
    key, manifest = _found(api, kind, name, where)
    if _kind(kind) == "Observation":
        raise BadRequest(
            f"an Observation has no pods; give one of its Exposures, {name}-..., which `gozen get exp` lists"
        )
    job = (manifest.get("status") or {}).get("job")
    pods = sorted(api.pods_of(where, job["uid"]) if job else [], key=lambda one: str(one["metadata"]["name"]))
    if key.kind == "LightCurveJob":
        pods += _publishing_pods(api, manifest, where)
    if not pods:
        raise BadRequest(
            f"{name} has no pods now: either they are not created yet, or their Job was deleted; see `gozen describe`"
        )
    for pod in pods:
        typer.echo(f"== {pod['metadata']['name']} ({pod['status'].get('phase', 'Pending')})")
        if pod["status"].get("phase") != "Pending":
            typer.echo(api.log_of(where, pod["metadata"]["name"]).rstrip("\n"))


def cancel(kind: KindName, name: ResourceName, namespace: Namespace = None) -> None:
    """Delete a resource and stop its work. Data in the archive are kept."""
    api, where = _connected(namespace)
    key, manifest = _found(api, kind, name, where)
    api.delete(key, manifest["metadata"]["uid"])
    typer.echo(f"{key.kind} {name} is cancelled; data in the archive remain")


def _read(file: Path, night: str | None, instrument: str) -> list[Any]:
    from zoneinfo import ZoneInfo

    from gozen.archive.keys import date_of
    from gozen.instrument.profile import load_profile
    from gozen.resources.observatory_recipe import load_observations
    from gozen.resources.yaml_resources import load_resources

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read {file}: {reason_of(error)}") from error
    if night is None:
        return list(load_resources(text, file.name))
    zone = ZoneInfo(load_profile(instrument).site.time_zone)
    return list(load_observations(text, file.name, night=date_of(night), zone=zone))


def _connected(namespace: str | None) -> tuple[KubeApi, str]:
    """Return the API server and the namespace to use."""
    try:
        from kubernetes import config

        from gozen_operator.api_server.client import KubeApi
        from gozen_operator.api_server.connection import connect
    except ImportError as error:
        raise BadRequest(
            f"the verbs for the cluster need another package ({error}): pip install 'gozen[operator]'"
        ) from error

    api = KubeApi(connect())
    if namespace is None:
        try:
            _, active = config.list_kube_config_contexts()
            namespace = active["context"].get("namespace")
        except config.ConfigException:
            namespace = None
    return api, namespace or "default"


def _kind(text: str) -> str:
    from gozen_operator.crds import KINDS

    for kind in KINDS:
        if text.lower() in (kind.short, kind.plural, kind.name.lower()):
            return kind.name
    raise BadRequest(f"unknown kind {text!r}; the kinds are obs (Observation), exp (Exposure), lcj (LightCurveJob)")


def _found(api: KubeApi, kind: str, name: str, namespace: str) -> tuple[Key, dict[str, Any]]:
    from gozen_operator.reconcile.object_fields import Key

    key = Key(_kind(kind), namespace, name)
    manifest = api.get(key)
    if manifest is None:
        raise BadRequest(f"there is no {key.kind} {name} in {namespace}; `gozen get {kind}` lists them")
    return key, manifest


def _publishing_pods(api: KubeApi, manifest: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
    """Return the pods that publish a LightCurveJob or remove it, the oldest first."""
    from gozen_operator.reconcile.publish_manifests import pod_labels

    meta = manifest["metadata"]
    found = api.pods_with(namespace, pod_labels(meta["name"]))
    # Pods of an earlier LightCurveJob of this name may still be there.
    return [one for one in found if one["metadata"]["creationTimestamp"] >= meta["creationTimestamp"]]


def _columns(rows: list[list[Any]]) -> None:
    """Print rows as columns, two spaces apart."""
    texts = [[str(cell) if cell is not None else "" for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in texts) for place in range(len(texts[0]))]
    for row in texts:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
