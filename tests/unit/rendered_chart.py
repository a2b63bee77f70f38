"""The chart as rendered by Helm, without a cluster: its manifests, and functions to find one of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

from gozen_hub.workers.dask_crds import write_crds

CHART = Path(__file__).parents[2] / "charts" / "gozen"
S3 = {"archive": {"url": "s3://sky/archive", "s3": {"endpointUrl": "https://s3.sky:9000", "secretName": "keys"}}}
DISK = {"archive": {"volume": {"hostPath": "/mnt/sky", "size": "10Ti"}}}
Manifest = dict[str, Any]


def chart_with_dask(folder: Path) -> Path:
    """Copy the chart with Dask's resources, as ``make dask-crds`` writes them; return the copy."""
    copy = shutil.copytree(CHART, folder / "gozen", ignore=shutil.ignore_patterns("dask-crds"))
    write_crds(copy / "files" / "dask-crds")
    return copy


def rendered(chart: helm.Chart, values: Manifest, name: str = "gozen") -> list[Manifest]:
    """Return all manifests of a release in the namespace ``sky``."""
    texts = chart.render(values, name=name, namespace="sky")
    parts = (yaml.load_all(text, yaml.CSafeLoader) for path, text in texts.items() if not path.endswith("NOTES.txt"))
    return [one for part in parts for one in part if one]


def notes(chart: helm.Chart, values: Manifest) -> str:
    """Return what Helm prints after an installation."""
    return chart.render(values, name="gozen", namespace="sky")["gozen/templates/NOTES.txt"]


def of_kind(manifests: list[Manifest], kind: str, name: str = "") -> list[Manifest]:
    """Return the manifests of a kind whose names end so."""
    return [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].endswith(name)]


def one_of(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the only manifest of a kind whose name ends so."""
    (found,) = of_kind(manifests, kind, name)
    return found


def rules(manifests: list[Manifest], name: str, kind: str = "Role") -> dict[str, list[str]]:
    """Return the verbs of a role by resource."""
    found: dict[str, list[str]] = {}
    for rule in one_of(manifests, kind, name)["rules"]:
        for resource in rule["resources"]:
            found.setdefault(resource, []).extend(rule["verbs"])
    return found


def environment(deployment: Manifest) -> dict[str, str]:
    """Return what a Deployment's container sees, without its ConfigMap and Secret."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "a-pod") for one in container["env"]}
