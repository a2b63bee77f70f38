"""From ``helm install`` and an applied Observation to a flare in the table, on a real node.

Covered: Gozen's images, the chart, the observer with the simulated telescope, the operator, reduction pods, the append,
the archive on S3 and then on a mounted volume, the status meanwhile, and what remains after uninstalling. Not covered:
faults (test_faults.py), refusals (test_operator.py, test_crds.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import helm_python as helm
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from tests.services.nextcloud_server.people import Person
from tests.services.nextcloud_server.sharing_server import SharingServer
from tests.services.pages import Reader
from tests.services.s3_server import KEY, SECRET, s3_server

from gozen.archive.small_parquet import read_parquet
from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.settings import StorageSettings
from gozen.simulator import truth_tables

from .certificates import Authority
from .custom_resources import adopt
from .node import Node
from .own_images import load_own_images
from .processes import wait_until
from .small_observatory import observatory_values
from .tools import tool

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
CREDENTIALS = f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
TUTORIAL = (ROOT / "docs" / "tutorials" / "apply-your-first-observation.md").read_text("utf-8")
SHORT = """
apiVersion: gozen.astro/v1alpha1
kind: Observation
metadata: { name: short }
spec:
  observer: A. Observer
  project: Flares
  operations:
  - setParameter: { tintegSec: 0.5, nframe: 18, dataType: DARK, sensors: ["111"] }
  - exposure: DARK
  - setParameter: { dataType: FLAT }
  - exposure: FLAT
  - setParameter: { dataType: OBJECT }
  - setPipeline: [wcs, stack]
  - pointing: { ra: 83.8, dec: 10.0 }
  - exposure: orion
"""
PUBLISHES = "app.kubernetes.io/component=publish"
TONIGHT = """
apiVersion: gozen.astro/v1alpha1
kind: LightCurveJob
metadata: {{ name: tonight }}
spec:
  selection: {{ night: "{night}" }}
"""


@dataclass
class Place:
    """A namespace of the node with Gozen in it.

    Parameters
    ----------
    archive
        Its root, as the pods name it.
    storage
        How this computer reaches it, in the words of the environment.
    cloud
        The Nextcloud to which it publishes.
    """

    node: Node
    namespace: str
    archive: str
    values: dict[str, Any]
    storage: Mapping[str, str] = field(default_factory=dict)
    cloud: SharingServer | None = None

    def kubectl(self, *words: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self.node.kubectl("--namespace", self.namespace, *words, **given)

    def get(self, *words: str) -> Any:
        """Return what kubectl gets, as data."""
        return json.loads(self.kubectl("get", *words, "-o", "json", check=True).stdout)

    def store(self) -> Store:
        """Open the archive from this computer."""
        endpoint = self.storage.get("GOZEN_STORAGE__ENDPOINT_URL")
        return open_store(self.archive, StorageSettings.model_validate({"endpoint_url": endpoint} if endpoint else {}))

    def gozen(self, *words: str) -> str:
        """Run the command on this computer, against the archive."""
        environment = {**os.environ, **self.storage, "GOZEN_ARCHIVE": self.archive}
        program = Path(sys.executable).parent / "gozen"
        done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def condition(self, what: str, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition."""
        found = {one["type"]: one for one in self.get(what).get("status", {}).get("conditions", [])}.get(kind, {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def kubeconfig(self, folder: Path) -> Path:
        """Return the way to the cluster for somebody who works in the namespace."""
        given = yaml.safe_load(self.node.kubeconfig.read_text())
        given["contexts"][0]["context"]["namespace"] = self.namespace
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(given))
        path.chmod(0o600)
        return path

    def told(self, what: str) -> str:
        """Return what a person would look at when something is wrong."""
        parts = [self.kubectl("describe", what).stdout, self.kubectl("get", "gozen,jobs,pods", "-o", "wide").stdout]
        parts += [
            self.kubectl("logs", f"--selector=app.kubernetes.io/component={name}", "--tail=60").stdout
            for name in ("operator", "observer", "reduction")
        ]
        parts.append(self.kubectl("get", "events", "--sort-by=.lastTimestamp").stdout[-4000:])
        return "\n\n".join(parts)


@pytest.fixture(scope="module")
def images(node: Node) -> Mapping[str, str]:
    """Give our images to the node; return the tag of each."""
    return load_own_images(node)


def values(images: Mapping[str, str], archive: dict[str, Any]) -> dict[str, Any]:
    """Return what the chart is given."""
    return {
        **observatory_values(),
        "archive": archive,
        "images": {name: {"repository": tag.rpartition(":")[0], "tag": "test"} for name, tag in images.items()},
        "operator": {"settings": {"look_s": 1, "job_ttl_s": 30}},
    }


def made(node: Node, namespace: str) -> None:
    """Make a namespace where nothing may run that is not restricted."""
    node.kubectl("create", "namespace", namespace, check=True)
    level = "pod-security.kubernetes.io/enforce=restricted"
    node.kubectl("label", "namespace", namespace, level, check=True)


@pytest.fixture(scope="module")
def on_s3(node: Node, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Install Gozen with its archive on S3."""
    made(node, "on-s3")
    folder = tmp_path_factory.mktemp("cloud")
    authority = Authority(folder / "authority")
    tls = authority.server("cloud", [node.host_address], [])
    persons = [Person("observatory", "x"), Person("sora", "x")]
    with (
        s3_server(tmp_path_factory.mktemp("s3"), address=node.host_address) as server,
        SharingServer(folder / "server", persons, tls=tls, address=node.host_address) as cloud,
    ):
        server.bucket("sky")
        given = f"--from-literal=credentials={CREDENTIALS}"
        node.kubectl("-n", "on-s3", "create", "secret", "generic", "gozen-s3", given, check=True)
        s3 = {"endpointUrl": server.endpoint, "region": "us-east-1", "secretName": "gozen-s3"}
        password = f"--from-literal=password={cloud.account('observatory').password}"
        node.kubectl("-n", "on-s3", "create", "secret", "generic", "gozen-nextcloud", password, check=True)
        wanted = values(images, {"url": "s3://sky/archive", "s3": s3})
        account = {"url": cloud.url, "user": "observatory", "secretName": "gozen-nextcloud"}
        wanted["nextcloud"] = {**account, "caBundle": authority.certificate.read_text()}
        place = Place(node, "on-s3", "s3://sky/archive", wanted, server.environment, cloud)
        os.environ.update({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"})
        with helm.Config(kubeconfig_path=node.kubeconfig, namespace="on-s3") as config:
            adopt(node, "on-s3")
            config.install(ROOT / "charts" / "gozen", "gozen", wanted, namespace="on-s3")
            yield place
            config.uninstall("gozen", ignore_not_found=True)


@pytest.fixture(scope="module")
def observed(on_s3: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return the place after somebody has followed the tutorial in it."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "kubectl").symlink_to(tool("kubectl"))
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        Reader(folder, KUBECONFIG=str(on_s3.kubeconfig(folder)), PATH=path).follow(TUTORIAL)
    except AssertionError:
        print(on_s3.told("obs/orion"))  # noqa: T201 - shown when a test fails
        raise
    return on_s3


def test_an_observation_is_carried_out_and_reduced(observed: Place) -> None:
    assert observed.condition("obs/orion", "Succeeded") == ("True", "Reduced", "4 exposures")
    assert observed.condition("obs/orion", "Executed")[0] == "True"
    exposures = observed.get("exp")["items"]
    assert [one["spec"]["object"] for one in exposures] == ["DARK", "FLAT", "orion_dith1", "orion_dith2"]
    for one in exposures:
        assert (one["status"]["sensors"], one["status"]["failed"]) == (4, 0), one["status"]
    assert len({one["spec"]["exposureId"] for one in exposures}) == 4


def test_people_read_what_happened(observed: Place) -> None:
    header, *rows = observed.kubectl("get", "exp", check=True).stdout.splitlines()
    assert header.split()[1:5] == ["OBJECT", "NIGHT", "SENSORS", "REDUCED"]
    assert all("True" in row for row in rows)
    said = observed.kubectl("describe", "exp/orion-008", check=True).stdout
    assert "Launched" in said
    assert "4 of 4 sensors reduced" in said
    assert "orion" in observed.kubectl("get", "gozen").stdout


def test_each_exposure_had_one_job_that_leaves(observed: Place) -> None:
    names = {one["metadata"]["name"] for one in observed.get("exp")["items"]}
    assert {one["status"]["job"]["name"] for one in observed.get("exp")["items"]} == names
    wait_until(lambda: not observed.get("jobs")["items"], "the Jobs to go", 120)


def find_the_flare(place: Place, exposure: str) -> None:
    """Look the flare that was injected up in the table, as the archive's readers and people do."""
    night = place.get(f"exp/{exposure}")["spec"]["night"]
    succeeded, reason, message = place.condition("lcj/tonight", "Succeeded")
    assert (succeeded, reason) == ("True", "Appended"), place.told("lcj/tonight")
    store = place.store()
    events = read_parquet(store.read(truth_tables.events_key(night))).to_pylist()
    flare = json.loads(next(one["parameters"] for one in events if one["kind"] == "flare"))
    catalog = open_catalog(store, "lightcurves")
    assert message == f"{catalog.table().num_rows:,} rows"
    rows = catalog.table().filter(pc.field("source_id") == flare["source_id"])
    assert rows.num_rows >= 18
    magnitudes = rows["mag"].to_pylist()
    usual = float(np.median(magnitudes))
    assert usual - min(magnitudes) > 5 * float(np.median(np.abs(np.asarray(magnitudes) - usual)))
    csv = place.gozen("lightcurve", "--id", str(flare["source_id"]), "--csv")
    assert csv.count("\n") == rows.num_rows + 1


def test_the_flare_is_found_in_the_table(observed: Place) -> None:
    find_the_flare(observed, "orion-008")


def test_its_light_curves_appear_in_nextcloud_and_go_again(observed: Place) -> None:
    cloud = observed.cloud
    assert cloud is not None
    folder = cloud.state.file("observatory", "Survey/Orion")
    publish: dict[str, Any] = {"folder": "Survey/Orion", "users": ["sora"], "link": True, "onDelete": "Remove"}
    change = json.dumps({"spec": {"publish": publish}})
    observed.kubectl("patch", "lcj/tonight", "--type=merge", "--patch", change, check=True)
    done = observed.kubectl("wait", "--for=condition=Published", "--timeout=240s", "lcj/tonight", seconds=250)
    assert done.returncode == 0, observed.told("lcj/tonight") + observed.kubectl("logs", "-l=" + PUBLISHES).stdout
    status = observed.get("lcj/tonight")["status"]
    (link,) = [one for one in cloud.book.items if one.token]
    assert status["published"]["link"] == f"{cloud.url}/s/{link.token}"
    assert [one.receiver for one in cloud.book.items if one.receiver] == ["sora"]
    rows = pq.read_table(folder / "tonight.parquet")
    assert rows.num_rows == status["rows"] == open_catalog(observed.store(), "lightcurves").table().num_rows
    assert status["published"]["files"] == len([one for one in folder.iterdir() if one.name.startswith("tonight")]) == 5
    observed.kubectl("delete", "lcj/tonight", "--timeout=120s", seconds=130, check=True)
    assert list(folder.iterdir()) == []
    assert cloud.book.items == []


def later_chart(folder: Path) -> Path:
    """Return the chart of a version to come: an Exposure has one more field that may be left out."""
    chart = shutil.copytree(ROOT / "charts" / "gozen", folder / "gozen")
    path = chart / "files" / "crds" / "exposures.yaml"
    definition = yaml.safe_load(path.read_text())
    (version,) = definition["spec"]["versions"]
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["moonDistance"] = {"type": "number"}
    path.write_text(yaml.safe_dump(definition))
    return chart


def test_upgraded_in_the_middle_of_a_night_and_back(observed: Place, tmp_path: Path) -> None:
    lease = ("lease/gozen-operator", "-o=jsonpath={.spec.leaseTransitions}")
    holders = int(observed.kubectl("get", *lease, check=True).stdout)
    observed.kubectl("apply", "-f", "-", stdin=SHORT, check=True)
    wait_until(lambda: observed.kubectl("get", "job/short-002").returncode == 0, "the first Job", 120)
    job = observed.get("job/short-002")["metadata"]["uid"]
    wanted = {**observed.values, "operator": {"settings": {"look_s": 2}}}
    operators = ("deployment/gozen-operator", "--timeout=120s")
    with helm.Config(kubeconfig_path=observed.node.kubeconfig, namespace="on-s3") as config:
        config.upgrade(later_chart(tmp_path), "gozen", wanted, namespace="on-s3")
        field = '{"spec":{"moonDistance":30}}'
        observed.kubectl("patch", "exp/short-002", "--type=merge", "-p", field, check=True)
        observed.kubectl("rollout", "status", *operators, check=True, seconds=130)
        config.rollback("gozen")
    observed.kubectl("rollout", "status", *operators, check=True, seconds=130)
    done = observed.kubectl("wait", "--for=condition=Succeeded", "--timeout=600s", "obs/short", seconds=620)
    assert done.returncode == 0, observed.told("obs/short")
    assert observed.condition("obs/short", "Succeeded") == ("True", "Reduced", "3 exposures")
    assert observed.get("exp/short-002")["status"]["job"]["uid"] == job
    assert int(observed.kubectl("get", *lease, check=True).stdout) >= holders + 2


def test_the_same_on_a_mounted_volume(
    node: Node, images: Mapping[str, str], observed: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made(node, "on-volume")
    folder = tmp_path_factory.mktemp("volume")
    for parent in (folder, *folder.parents):
        if parent.is_relative_to("/tmp/pytest-of-root"):
            parent.chmod(0o755)
    os.chown(folder, 10001, 10001)
    once = {"priorityClasses": {"create": False}, "crds": {"install": False}}
    wanted = values(images, {"volume": {"hostPath": str(folder)}}) | once
    place = Place(node, "on-volume", str(folder), wanted)
    with helm.Config(kubeconfig_path=node.kubeconfig, namespace="on-volume") as config:
        config.install(ROOT / "charts" / "gozen", "gozen", wanted, namespace="on-volume")
        place.kubectl("apply", "-f", "-", stdin=SHORT, check=True)
        done = place.kubectl("wait", "--for=condition=Succeeded", "--timeout=600s", "obs/short", seconds=620)
        assert done.returncode == 0, place.told("obs/short")
        night = place.get("exp/short-008")["spec"]["night"]
        place.kubectl("apply", "-f", "-", stdin=TONIGHT.format(night=night), check=True)
        done = place.kubectl("wait", "--for=condition=Complete", "--timeout=300s", "lcj/tonight", seconds=320)
        assert done.returncode == 0, place.told("lcj/tonight")
        find_the_flare(place, "short-008")
        config.uninstall("gozen")
    kept = place.kubectl("get", "obs,exp,pvc", "-o", "name", check=True).stdout.split()
    assert "observation.gozen.astro/short" in kept
    assert "persistentvolumeclaim/gozen-archive" in kept
    assert open_catalog(open_store(folder), "lightcurves").table().num_rows
