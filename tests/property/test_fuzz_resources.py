"""Thousands of resources of each kind, valid or nearly valid, in all functions of the operator; without a server.

Covered: the operator never fails and needs few writes; each refusal names the field; each status is valid by the
schema; for any resource, the Job has exactly the fields that Gozen sets, and each argument is parsed as intended.
Former bugs are seeded again, and found in a third of the resources. The number of resources is in tests/effort.py. What
the API server accepts: tests/cluster/test_fuzz_admission.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.effort import MARGIN, REPEATS, SEED, SEEDS, rounds
from tests.resource_fuzz import publish_sense, resource, spoiled

from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.stores.open_store import open_store
from gozen.archive.stores.store import Store
from gozen.cli.app import command
from gozen.cli.invocation import hoist
from gozen.errors import BadRequest
from gozen.instrument.profile import load_profile
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.publish_request import PublishRequest
from gozen.settings import load_settings
from gozen_operator.index.dependents import affected
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process.controller import Controller
from gozen_operator.reconcile import job_manifests, publish_manifests, refused
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.object_fields import MODELS, Key, parsed
from gozen_operator.reconcile.reconcile_plan import Event

FUZZED = "fuzzed resources"
MOST_WRITES = 6
MOST_LOOKS = 20
NAMESPACE = "night"
SETTINGS = OperatorSettings(namespaces=(NAMESPACE,), max_active_jobs=3)
SENSORS = [sensor.id for sensor in load_profile("tomoe").sensors]
GOZEN = command()
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_VARIABLE = re.compile(r"\$(\$|\((?P<name>[^)]*)\))")
OPTIONAL = {".metadata.labels.gozen.astro/observation", ".spec.template.metadata.labels.gozen.astro/observation"}


class Server:
    """As much of an API server as the operator writes to; it refuses a status that the schema does not allow."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.version = self.writes = 0

    def put(self, key: Key, manifest: dict[str, Any]) -> dict[str, Any]:
        """Keep an object under a new version."""
        self.version += 1
        meta = {**manifest["metadata"], "resourceVersion": str(self.version)}
        self.objects[key] = {**manifest, "metadata": meta}
        return self.objects[key]

    def create_job(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        key = Key("Job", NAMESPACE, manifest["metadata"]["name"])
        assert key not in self.objects, f"a second Job {key.name}"
        return self.put(key, {**manifest, "metadata": {**manifest["metadata"], "uid": f"job-{key.name}"}, "status": {}})

    def write_status(self, key: Key, version: str, status: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        manifest = self.objects[key]
        good = {**GOOD[key.kind], "status": status}
        parsed(good)
        return self.put(key, {**manifest, "status": status})

    def expire_job(self, namespace: str, job: JobSeen, ttl_s: int) -> dict[str, Any]:
        self.writes += 1
        key = Key("Job", namespace, job.name)
        meta = {**self.objects[key]["metadata"], "annotations": {"gozen.astro/recorded": "true"}}
        return self.put(key, {**self.objects[key], "metadata": meta})

    def tell(self, key: Key, uid: str, event: Event, when: str, name: str) -> None:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", event.reason), event

    def get(self, key: Key) -> dict[str, Any] | None:
        return self.objects.get(key)

    def pods_of(self, namespace: str, uid: str) -> list[dict[str, Any]]:
        return []


def good(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": "good", "namespace": NAMESPACE, "uid": "good", "resourceVersion": "1"}
    return {"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


PLAIN = {
    "object": "M42", "nframe": 18, "exposureId": 7, "night": "20300101", "pipelines": ["wcs"], "sensors": ["111"],
    "observationRef": {"name": "good"},
}  # fmt: skip
GOOD = {
    "Observation": good("Observation", {"observer": "A", "project": "B", "operations": [{"setFocus": 28.1}]}),
    "Exposure": good("Exposure", PLAIN),
    "LightCurveJob": good("LightCurveJob", {"selection": {"night": "20300101"}}),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return an archive with the raw data of some exposures."""
    store = open_store(tmp_path_factory.mktemp("archive"))
    for number in (1, 7, *range(20, 50), 99_999_999):
        name = f"{number:08d}"
        files = {sensor: (f"raw/20300101/{name}/{sensor}.fits",) for sensor in SENSORS}
        record_exposure(store, RawExposure("20300101", name, "M42", "OBJECT", 61000.0, files))
    return store


class Desk:
    """The operator's decisions and actions, on one server."""

    def __init__(self, archive: Store) -> None:
        self.server, self.index, self.due = Server(), Index(), list[Key]()
        api: Any = self.server
        site = load_settings()
        self.controller = Controller(api, self.index, lambda: archive, site, SETTINGS, self._changed)

    def _changed(self, change: ObjectChange) -> None:
        self.due += affected(self.index, change, SETTINGS.max_active_jobs)

    def take(self, manifest: dict[str, Any]) -> None:
        """Be told of an object."""
        change = self.index.put(manifest)
        assert change is not None
        self._changed(change)

    def rest(self, key: Key) -> int:
        """Look at one resource until there is nothing to do; return the number of writes."""
        before = self.server.writes
        for _ in range(MOST_LOOKS):
            if key not in self.due:
                return self.server.writes - before
            self.due.clear()
            if self.controller.handle(key) == 0:
                self.due.append(key)
        raise AssertionError(f"{key} never comes to rest")

    def end_job(self, name: str, how: str) -> None:
        """Let a Job end, if there is one."""
        key = Key("Job", NAMESPACE, name)
        job = self.server.objects.get(key)
        if job is not None:
            self.take(self.server.put(key, {**job, "status": {"conditions": [{"type": how, "status": "True"}]}}))

    def forget(self, name: str) -> None:
        """Let a resource and its Job go."""
        for key in [key for key in self.server.objects if key.name in (name, f"{name}-append")]:
            self.index.remove(self.server.objects.pop(key))


def lived(desk: Desk, rng: random.Random, kind: str, number: int) -> dict[str, Any]:
    """Let a resource live; return what stands in its status in the end."""
    name = f"{kind.lower()}-{number}"
    made = resource(rng, kind, name)
    if rng.random() < 0.4:
        made = spoiled(rng, made)
    meta = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": name,
        "generation": 1,
        "creationTimestamp": "2029-01-01T00:00:00Z",
    }
    key = Key(kind, NAMESPACE, name)
    desk.take(desk.server.put(key, {**made, "metadata": meta}))
    writes = desk.rest(key)
    job_name = name if kind == "Exposure" else f"{name}-append"
    desk.end_job(job_name, rng.choice(["Complete", "Failed"]))
    writes += desk.rest(key)
    assert writes <= MOST_WRITES, f"{made} costs {writes} writes"
    status: dict[str, Any] = desk.server.objects[key].get("status", {})
    desk.forget(f"{kind.lower()}-{number - 5}")
    return {**status, "spec": made["spec"]}


def check_words(status: dict[str, Any]) -> str:
    """Check that a refusal names its field; return the reason."""
    told = {one["type"]: one for one in status.get("conditions", [])}
    assert told, f"nothing is said about {status['spec']}"
    if told["Accepted"]["status"] == "False":
        message = told["Accepted"]["message"]
        assert re.search(r"(spec|metadata)(\.\w+|: )", message), message
    return str(told["Succeeded"]["reason"])


def check_life(desk: Desk, kind: str, seed: int, number: int) -> str:
    """Let one resource live; return the reason that it ends with."""
    return check_words(lived(desk, random.Random(f"{seed} {kind} {number}"), kind, number))


@pytest.mark.parametrize("kind", list(MODELS))
def test_whatever_is_asked_for_the_operator_answers_and_comes_to_rest(kind: str, archive: Store) -> None:
    desk = Desk(archive)
    reasons = {check_life(desk, kind, SEED, number) for number in rounds(FUZZED)}
    assert "InvalidSpec" in reasons
    assert len(reasons) > 3, reasons


def paths(node: Any, at: str = "") -> dict[str, list[Any]]:
    """Return the leaves of a manifest by their path; items of lists share one."""
    if isinstance(node, dict) and node:
        found: dict[str, list[Any]] = {}
        for word, child in node.items():
            for path, leaves in paths(child, f"{at}.{word}").items():
                found.setdefault(path, []).extend(leaves)
        return found
    if isinstance(node, list) and node:
        found = {}
        for child in node:
            for path, leaves in paths(child, f"{at}[]").items():
                found.setdefault(path, []).extend(leaves)
        return found
    return {at: [node]}


PUBLISHED = LightCurveJob.model_validate(
    good("LightCurveJob", {"selection": {"night": "20300101"}, "publish": {"folder": "M31"}})
)
OURS = {"publish": paths(publish_manifests.publish_job(PUBLISHED, SETTINGS))} | {
    kind: paths(make(parsed(GOOD[kind])))
    for kind, make in {
        "Exposure": lambda one: job_manifests.exposure_job(one, ["111"], SETTINGS),
        "LightCurveJob": lambda one: job_manifests.lightcurve_job(one, SETTINGS),
    }.items()
}
VARY = re.compile(
    r"\.metadata\.(name|labels\.gozen.*)|\.metadata\.ownerReferences\[\]\.(name|uid)|\.spec\.(completions|parallelism|maxFailedIndexes)"
    r"|\.spec\.template\.metadata\.labels\.gozen.*|.*containers\[\]\.args\[\]|.*\.priorityClassName"
)


def check_job(job: dict[str, Any], kind: str) -> None:
    """Check that a Job is ours to the last field, whatever its resource says."""
    found, ours = paths(job), OURS[kind]
    assert set(found) - OPTIONAL == set(ours) - OPTIONAL
    for path, leaves in found.items():
        if not VARY.fullmatch(path):
            assert leaves == ours[path], path
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert all(LABEL.fullmatch(value) for value in labels.values()), labels
    assert job["spec"]["template"]["spec"]["priorityClassName"] in ("gozen-express", "gozen-default")


def expanded(text: str) -> str:
    """Return an argument as the container gets it: two dollars are one, and a variable gets its value."""
    return _VARIABLE.sub(lambda found: "$" if found[1] == "$" else f"value of {found['name']}", text)


def read(job: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a Job as the command understands them."""
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    index = "value of JOB_COMPLETION_INDEX"
    words = ["3" if expanded(word) == index else expanded(word) for word in args]
    assert hoist(words) == words, "a value is read as an option of the whole command"
    command = GOZEN
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    params: dict[str, Any] = command.make_context("gozen", list(words)).params
    return {word: value for word, value in params.items() if value not in (None, [], ())}


def wanted_of(one: Exposure, sensors: list[str]) -> dict[str, Any]:
    """Return what the command has to understand of an Exposure, and nothing else."""
    spec = one.spec
    shared: dict[str, Any] = {
        "instrument": spec.instrument,
        "sensor": sensors,
        "part": 3,
        "part_size": spec.sensors_per_pod,
    }
    shared |= {"raw_url": spec.raw_url} if spec.raw_url is not None else {}
    if spec.data_type != "OBJECT":
        return {**shared, "night": spec.night, "exposure": [f"{spec.exposure_id:08d}"]}
    own = {"pipelines": ",".join(spec.pipelines), "run_": spec.run, "retain_raw": spec.retain_raw}
    return {**shared, **own, "night": spec.night, "exposure": [f"{spec.exposure_id:08d}"]}


def check_exposure(seed: int, number: int) -> bool:
    """Check the Job of an Exposure; tell whether it has one."""
    manifest = {**resource(random.Random(f"{seed} exposure {number}"), "Exposure", f"e{number}")}
    manifest["metadata"] |= {"namespace": NAMESPACE, "uid": "u"}
    one = parsed(manifest)
    assert isinstance(one, Exposure)
    spec = one.spec
    if spec.exposure_id is None or spec.night is None or not (spec.pipelines or spec.data_type != "OBJECT"):
        return False
    sensors = list(spec.sensors) or ["111", "112"]
    job = job_manifests.exposure_job(one, sensors, SETTINGS)
    check_job(job, "Exposure")
    said = read(job)
    left = {"workers", "reference"} | ({"retain_raw"} if spec.data_type != "OBJECT" else set())
    assert {word: value for word, value in said.items() if word not in left} == wanted_of(one, sensors)
    return True


def check_lightcurvejob(seed: int, number: int) -> None:
    """Check the Job of a LightCurveJob."""
    manifest = resource(random.Random(f"{seed} job {number}"), "LightCurveJob", f"l{number}")
    manifest["spec"]["selection"].setdefault("night", "20300101")
    manifest["metadata"] |= {"namespace": NAMESPACE, "uid": "u"}
    if "publish" in manifest["spec"]:
        publish_sense(random.Random(number), manifest["spec"]["publish"])
    one = parsed(manifest)
    assert isinstance(one, LightCurveJob)
    choice = one.spec.selection
    job = job_manifests.lightcurve_job(one, SETTINGS)
    check_job(job, "LightCurveJob")
    wanted: dict[str, Any] = {"nights": [choice.night], "table": one.spec.target_catalog, "run_": choice.run}
    wanted |= {"exposure": list(choice.exposures)} if choice.exposures else {}
    region = choice.region
    wanted |= {"region": f"{region.ra},{region.dec},{region.radius_deg}"} if region is not None else {}
    assert read(job) == {**wanted, "result": Path("/dev/termination-log")}
    if one.spec.publish is not None:
        check_publishing(one, one.spec.publish, wanted)


def check_publishing(one: LightCurveJob, request: PublishRequest, selected: dict[str, Any]) -> None:
    """Check the Job that publishes a LightCurveJob: it selects what was appended."""
    job = publish_manifests.publish_job(one, SETTINGS)
    check_job(job, "publish")
    wanted = {**selected, "folder": request.folder, "name": f"{NAMESPACE}/{one.metadata.name}"}
    wanted |= {"user": request.users} if request.users else {}
    wanted |= {"group": request.groups} if request.groups else {}
    wanted["link"] = request.link
    wanted |= {"link_days": request.link_days} if request.link_days else {}
    wanted |= {"link_password_file": Path("/etc/gozen/nextcloud/link-password")} if request.link_password else {}
    assert read(job) == {**wanted, "result": Path("/dev/termination-log")}


def test_no_exposure_puts_anything_into_its_job_but_what_it_may() -> None:
    made = sum(check_exposure(SEED, number) for number in rounds(FUZZED))
    assert made > REPEATS[FUZZED].now // 10


def test_no_lightcurvejob_puts_anything_into_its_job_but_what_it_may() -> None:
    for number in rounds(FUZZED):
        check_lightcurvejob(SEED, number)


def raw_labels(owner: Any, args: Any, labels: dict[str, str], *rest: Any, **more: Any) -> Any:
    """A mutant that lets a label end as a name may and a label may not."""
    job = MAKE_JOB(owner, args, labels, *rest, **more)
    job["metadata"]["labels"] |= {word: value[:63] for word, value in labels.items()}
    return job


def without_retention(owner: Any, args: list[str], *rest: Any, **more: Any) -> Any:
    """A mutant that forgets an argument that is rarely there."""
    return MAKE_JOB(owner, [word for word in args if word != "--retain-raw"], *rest, **more)


MAKE_JOB = job_manifests._job
Check = Callable[[int, int], object]
EXPOSURES, APPENDS, LIVES = "exposures", "appends", "lives"
BUGS: dict[str, tuple[str, object, str, object]] = {
    "lets Kubernetes expand a dollar": (EXPOSURES, job_manifests, "literal", lambda text: text),
    "forgets to retain raw data": (EXPOSURES, job_manifests, "_job", without_retention),
    "makes a label that ends in an underscore": (APPENDS, job_manifests, "_job", raw_labels),
    "names no field": (LIVES, refused, "problems", lambda _: "the resource is invalid"),
    "says the same again and again": (LIVES, refused, "_by_type", lambda _: object()),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_is_found_in_a_third_of_the_resources(
    name: str, archive: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, module, word, changed = BUGS[name]
    monkeypatch.setattr(module, word, changed)
    desk = Desk(archive)
    checks: dict[str, Check] = {
        EXPOSURES: check_exposure,
        APPENDS: check_lightcurvejob,
        LIVES: lambda seed, number: [check_life(desk, kind, seed, number) for kind in MODELS],
    }
    enough = REPEATS[FUZZED].small // MARGIN
    for seed in SEEDS:
        found = any(fails(checks[where], seed, number) for number in range(enough))
        assert found, f"none of the first {enough} resources of seed {seed} shows that it {name}"


def fails(check: Check, seed: int, number: int) -> bool:
    """Tell whether a check finds something."""
    try:
        check(seed, number)
    except (AssertionError, typer.Abort):
        return True
    return False


@pytest.mark.parametrize("word", ["--retain-raw", "-x", "a\n--debug", "$(HOME)", "a b", '{"image":"evil"}'])
@pytest.mark.parametrize("field", ["run", "instrument", "night", "sensors", "pipelines"])
def test_what_reaches_the_arguments_may_not_look_like_an_option(field: str, word: str) -> None:
    value = [word] if field in ("sensors", "pipelines") else word
    with pytest.raises(ValueError, match=field):
        parsed({**GOOD["Exposure"], "spec": {**PLAIN, field: value}})


def test_the_server_of_this_test_refuses_a_status_that_is_none() -> None:
    server = Server()
    key = Key("Exposure", NAMESPACE, "good")
    server.put(key, GOOD["Exposure"])
    with pytest.raises((ValueError, BadRequest)):
        server.write_status(key, "good", {"sensors": -1})
