"""The custom resources on a real API server: for every rule, one manifest that passes and one that is refused.

Also tested: ``kubectl explain``, short names and columns. Not covered: the operator.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import config

from gozen_operator.api_server.client import KubeApi
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.crds import KINDS, definition, structural
from gozen_operator.reconcile.object_fields import Key, parsed

from .api_server import ApiServer
from .processes import wait_until

pytestmark = pytest.mark.xdist_group("api")

Manifest = dict[str, Any]

OBSERVATION: Manifest = {
    "apiVersion": "gozen.astro/v1alpha1",
    "kind": "Observation",
    "metadata": {"name": "good"},
    "spec": {
        "observer": "A. Observer",
        "project": "Survey",
        "timeWindow": {"start": "2030-01-01T08:00:00Z", "end": "2030-01-01T20:00:00Z"},
        "operations": [
            {"setParameter": {"nframe": 18, "tintegSec": 0.5}},
            {"pointing": {"ra": 83.8, "dec": -5.4}},
            {"exposure": "M42"},
            {"dithering": [60.0, 0.0]},
            {"exposure": "M42_dith2"},
        ],
    },
}
EXPOSURE: Manifest = {
    "apiVersion": "gozen.astro/v1alpha1",
    "kind": "Exposure",
    "metadata": {"name": "good"},
    "spec": {
        "object": "M42",
        "nframe": 18,
        "exposureId": 7,
        "night": "20300101",
        "observationRef": {"name": "good"},
        "rawURL": "s3://elsewhere/raw",
        "pipelines": ["wcs", "stack"],
        "sensors": ["111", "112"],
    },
}
LIGHTCURVES: Manifest = {
    "apiVersion": "gozen.astro/v1alpha1",
    "kind": "LightCurveJob",
    "metadata": {"name": "good"},
    "spec": {"selection": {"night": "20300101"}},
}
Change = tuple[tuple[str | int, ...], Any]
ABSENT = object()

REFUSED: list[tuple[Manifest, list[Change], str]] = [
    (OBSERVATION, [(("spec", "timeWindow", "end"), "2029-01-01T08:00:00Z")], "ends before it starts"),
    (OBSERVATION, [(("spec", "operations", 0), {"setParameter": {"tintegSec": 0.5}})], "no step sets nframe"),
    (OBSERVATION, [(("spec", "operations", 0), {"setParameter": {"nframe": 18}})], "no step sets tintegSec"),
    (OBSERVATION, [(("spec", "operations", 1), {"setFocus": 28.1})], "dithering needs a pointing"),
    (OBSERVATION, [(("spec", "operations", 1), {})], "should have at least 1 properties"),
    (OBSERVATION, [(("spec", "operations", 1), {"setFocus": 1.0, "mirrorCover": "open"})], "must have at most 1"),
    (OBSERVATION, [(("spec", "operations", 0), {"setParameter": {}})], "should have at least 1 properties"),
    (OBSERVATION, [(("spec", "operations"), [])], "should have at least 1 items"),
    (OBSERVATION, [(("spec", "operations", 1, "pointing", "dec"), 91.0)], "less than or equal to 90"),
    (OBSERVATION, [(("spec", "operations", 1, "pointing", "ra"), 360.0)], "less than 360"),
    (OBSERVATION, [(("spec", "priority"), 1.5)], "less than or equal to 1"),
    (OBSERVATION, [(("spec", "observer"), ABSENT)], "spec.observer: Required value"),
    (OBSERVATION, [(("spec", "operations", 2), {"exposure": "Größe"})], "should match"),
    (OBSERVATION, [(("spec", "operations", 0), {"setPipeline": ["wcs", "neon"]})], "Unsupported value"),
    (OBSERVATION, [(("metadata", "name"), "x" * 49)], "longer than 48"),
    (OBSERVATION, [(("metadata", "name"), "a.b")], "the name may contain only lower-case letters, digits and dashes"),
    (EXPOSURE, [(("spec", "dataType"), "DARK")], "pipelines are for OBJECT data"),
    (EXPOSURE, [(("spec", "sensors"), ["111", "111"])], "Duplicate value"),
    (EXPOSURE, [(("spec", "pipelines"), ["wcs", "wcs"])], "Duplicate value"),
    (EXPOSURE, [(("spec", "rawURL"), "elsewhere")], "should match"),
    (EXPOSURE, [(("spec", "night"), "20301301")], "should match"),
    (EXPOSURE, [(("spec", "exposureId"), 0)], "greater than or equal to 1"),
    (EXPOSURE, [(("spec", "nframe"), 0)], "greater than or equal to 1"),
    (EXPOSURE, [(("metadata", "name"), "x" * 53)], "longer than 52"),
    (EXPOSURE, [(("metadata", "name"), "a.b")], "the name may contain only lower-case letters, digits and dashes"),
    (LIGHTCURVES, [(("spec", "selection"), {})], "the selection is empty"),
    (LIGHTCURVES, [(("spec", "cadence"), "night")], "write frame, the only cadence of this version"),
    (LIGHTCURVES, [(("spec", "cadence"), 0)], "write frame, the only cadence of this version"),
    (LIGHTCURVES, [(("spec", "aperture"), 1)], "greater than or equal to 2"),
    (LIGHTCURVES, [(("spec", "publish"), True)], "spec.publish in body must be of type object"),
    (LIGHTCURVES, [(("spec", "publish"), {})], "spec.publish.folder: Required value"),
    (LIGHTCURVES, [(("spec", "publish"), {"folder": ""})], "should be at least 1 chars long"),
    *[
        (
            LIGHTCURVES,
            [(("spec", "publish"), {"folder": folder})],
            "every part of folder needs a name that does not end",
        )
        for folder in ("/M31", "M31/", "a//b", "a/../b", "draft.", "a /b")
    ],
    *[
        (LIGHTCURVES, [(("spec", "publish"), {"folder": folder})], "folder contains a backslash or a control character")
        for folder in ("a\\b", "a\nb", "a\x7fb")
    ],
    (LIGHTCURVES, [(("spec", "publish"), {"folder": "é" * 128})], "a part of folder is longer than 250 bytes"),
    (LIGHTCURVES, [(("spec", "publish"), {"folder": "M31", "linkDays": 3})], "add link: true"),
    (LIGHTCURVES, [(("spec", "publish"), {"folder": "M31", "users": ["sora", "sora"]})], "Duplicate value"),
    (LIGHTCURVES, [(("spec", "publish"), {"folder": "M31", "onDelete": "Maybe"})], "Unsupported value"),
    *[
        (LIGHTCURVES, [(("spec", "publish"), {"folder": folder})], "Gozen keeps its notes in .gozen-published")
        for folder in (".gozen-published", ".gozen-published/M31")
    ],
    (LIGHTCURVES, [(("metadata", "name"), "x" * 53)], "longer than 52"),
    (LIGHTCURVES, [(("metadata", "name"), "a.b")], "the name may contain only lower-case letters, digits and dashes"),
]
ACCEPTED: list[tuple[Manifest, list[Change]]] = [
    (OBSERVATION, [(("spec", "timeWindow"), ABSENT)]),
    (OBSERVATION, [(("spec", "operations"), [{"setFocus": 28.1}])]),
    (OBSERVATION, [(("metadata", "name"), "x" * 48)]),
    (EXPOSURE, [(("spec", "dataType"), "FLAT"), (("spec", "pipelines"), [])]),
    (EXPOSURE, [(("spec", word), ABSENT) for word in ("exposureId", "night", "observationRef", "rawURL")]),
    (EXPOSURE, [(("metadata", "name"), "x" * 52)]),
    (LIGHTCURVES, [(("spec", "cadence"), 10)]),
    (LIGHTCURVES, [(("spec", "cadence"), "frame")]),
    (LIGHTCURVES, [(("spec", "selection"), {"region": {"ra": 1.0, "dec": 2.0, "radiusDeg": 0.1}})]),
    (LIGHTCURVES, [(("spec", "selection"), {"exposures": ["00000007"]})]),
    (LIGHTCURVES, [(("spec", "publish"), {"folder": "été/100 % #1", "users": ["sora"], "groups": ["sky"]})]),
    (LIGHTCURVES, [(("spec", "publish"), {"folder": "é" * 125, "link": True, "linkDays": 3, "linkPassword": True})]),
    *[
        (LIGHTCURVES, [(("spec", "publish"), {"folder": folder, "onDelete": "Remove"})])
        for folder in ("M31/.hidden", "M31/.gozen-published", ".gozen-published2")
    ],
]
FIXED: list[tuple[Manifest, Change, str]] = [
    (OBSERVATION, (("spec", "operations", 2), {"exposure": "M43"}), "the steps cannot be changed"),
    (OBSERVATION, (("spec", "observer"), "B. Observer"), "the observer cannot be changed"),
    (OBSERVATION, (("spec", "project"), "Other"), "the project cannot be changed"),
    *[
        (EXPOSURE, (("spec", word), value), f"{word} cannot be changed")
        for word, value in {
            "object": "M43", "instrument": "other", "dataType": "DARK", "sensors": ["113"], "nframe": 12,
            "pipelines": ["wcs"], "run": "r2", "sensorsPerPod": 2, "observationRef": {"name": "other"},
            "exposureId": 8, "night": "20300102", "rawURL": "s3://other/raw",
        }.items()
    ],
    (EXPOSURE, (("spec", "exposureId"), ABSENT), "exposureId cannot be changed"),
    (LIGHTCURVES, (("spec", "selection"), {"night": "20300102"}), "the selection cannot be changed"),
    (LIGHTCURVES, (("spec", "cadence"), 10), "cadence cannot be changed"),
    (LIGHTCURVES, (("spec", "aperture"), 10), "aperture cannot be changed"),
    (LIGHTCURVES, (("spec", "targetCatalog"), "other"), "targetCatalog cannot be changed"),
]  # fmt: skip
FIXED_FOLDER = "publish.folder cannot be changed"
BEGUN = "publish cannot be removed after the first attempt to publish"
CHANGEABLE: list[tuple[Manifest, Change]] = [
    (OBSERVATION, (("spec", "suspend"), True)),
    (OBSERVATION, (("spec", "priority"), 0.9)),
    (OBSERVATION, (("spec", "timeWindow", "end"), "2030-01-01T21:00:00Z")),
    (EXPOSURE, (("spec", "retainRaw"), True)),
    (EXPOSURE, (("spec", "priorityClass"), "express")),
    (LIGHTCURVES, (("spec", "publish"), {"folder": "M31"})),
]


def changed(manifest: Manifest, changes: list[Change]) -> str:
    """Return a manifest's YAML after some changes."""
    whole = copy.deepcopy(manifest)
    for path, value in changes:
        at: Any = whole
        for part in path[:-1]:
            at = at[part]
        if value is ABSENT:
            del at[path[-1]]
        else:
            at[path[-1]] = value
    return yaml.safe_dump(whole, allow_unicode=True)


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> Iterator[ApiServer]:
    """Return an API server that knows the resources."""
    text = "\n---\n".join(yaml.safe_dump(definition(kind)) for kind in KINDS)
    api_server.kubectl("apply", "--server-side", "-f", "-", stdin=text, check=True)
    names = [f"crd/{kind.plural}.gozen.astro" for kind in KINDS]
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names, check=True)
    yield api_server
    for kind in KINDS:
        api_server.kubectl("delete", kind.plural, "--all", "--wait=false")


@pytest.fixture
def applied(server: ApiServer) -> Iterator[ApiServer]:
    """Return the server with one good resource of each kind."""
    for manifest in (OBSERVATION, EXPOSURE, LIGHTCURVES):
        server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest), check=True)
    yield server
    for kind in KINDS:
        server.kubectl("delete", kind.plural, "good", check=True)


@pytest.mark.parametrize(("manifest", "changes", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_and_says_why(
    server: ApiServer, manifest: Manifest, changes: list[Change], message: str
) -> None:
    done = server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed(manifest, changes))
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize(
    ("manifest", "changes"), [(one, []) for one in (OBSERVATION, EXPOSURE, LIGHTCURVES)] + ACCEPTED
)
def test_what_makes_sense_is_taken(server: ApiServer, manifest: Manifest, changes: list[Change]) -> None:
    server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed(manifest, changes), check=True)


@pytest.mark.parametrize(("manifest", "change", "message"), FIXED)
def test_what_must_stay_cannot_be_changed(applied: ApiServer, manifest: Manifest, change: Change, message: str) -> None:
    done = applied.kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed(manifest, [change]))
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize(("manifest", "change"), CHANGEABLE)
def test_what_may_change_changes(applied: ApiServer, manifest: Manifest, change: Change) -> None:
    applied.kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed(manifest, [change]), check=True)


def test_a_folder_stays_while_its_readers_change(applied: ApiServer) -> None:
    published = [(("spec", "publish"), {"folder": "M31", "users": ["sora"]})]
    applied.kubectl("apply", "-f", "-", stdin=changed(LIGHTCURVES, published), check=True)
    for publish in ({"folder": "M31", "link": True, "again": 1}, ABSENT):
        words = ("apply", "--dry-run=server", "-f", "-")
        applied.kubectl(*words, stdin=changed(LIGHTCURVES, [*published, (("spec", "publish"), publish)]), check=True)
    done = applied.kubectl("apply", "-f", "-", stdin=changed(LIGHTCURVES, [(("spec", "publish"), {"folder": "M33"})]))
    assert done.returncode != 0
    assert FIXED_FOLDER in done.stderr


def test_what_is_published_is_not_forgotten(applied: ApiServer) -> None:
    """Without `publish` nobody would know the folder, its link would stay, and another folder would be accepted."""
    published = changed(LIGHTCURVES, [(("spec", "publish"), {"folder": "M31", "link": True})])
    applied.kubectl("apply", "-f", "-", stdin=published, check=True)
    remove = ("patch", "lightcurvejob", "good", "--type=merge", "--patch", '{"spec": {"publish": null}}')
    applied.kubectl(*remove, "--dry-run=server", check=True)  # nothing is published yet
    status = '{"status": {"published": {"attempts": 1}}}'
    applied.kubectl(
        "patch", "lightcurvejob", "good", "--subresource=status", "--type=merge", "--patch", status, check=True
    )
    done = applied.kubectl(*remove)
    assert done.returncode != 0
    assert BEGUN in done.stderr
    fewer = '{"spec": {"publish": {"link": false}}}'
    applied.kubectl("patch", "lightcurvejob", "good", "--type=merge", "--patch", fewer, check=True)


def test_what_an_earlier_version_stored_gets_a_status_after_one_command(server: ApiServer) -> None:
    """`publish` was a boolean with a default, so each stored LightCurveJob has it; docs/operations/upgrade.md."""
    (kind,) = [one for one in KINDS if one.plural == "lightcurvejobs"]
    earlier = copy.deepcopy(definition(kind))
    spec = earlier["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["publish"] = {"type": "boolean", "default": False}
    key = Key("LightCurveJob", "default", "earlier")
    manifest = changed(LIGHTCURVES, [(("metadata", "name"), key.name)])
    api = KubeApi(ApiConnection(config.new_client_from_config(str(server.kubeconfig))))
    condition = {
        "type": "Complete",
        "status": "False",
        "reason": "Running",
        "lastTransitionTime": "2030-01-01T00:00:00Z",
    }
    replace = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    server.kubectl(*replace, stdin=yaml.safe_dump(earlier), check=True)
    try:
        wait_until(lambda: server.kubectl("apply", "-f", "-", stdin=manifest).returncode == 0, "the earlier form", 30)
        wait_until(lambda: (api.get(key) or {})["spec"].get("publish") is False, "the default", 30)
    finally:
        server.kubectl(*replace, stdin=yaml.safe_dump(definition(kind)), check=True)
    stored = api.get(key)
    assert stored is not None
    assert stored["spec"]["publish"] is False
    command = ("patch", "lightcurvejob", key.name, "--type=merge", "--patch")
    named = (*command, '{"spec": {"publish": {"folder": "M31"}}}')
    assert server.kubectl(*named).returncode != 0  # the rule about the folder cannot read the old field
    server.kubectl(*command, '{"spec": {"publish": null}}', check=True)
    stored = api.get(key)
    assert stored is not None
    written = api.write_status(key, stored["metadata"]["resourceVersion"], {"conditions": [condition]})
    assert written is not None
    assert parsed(written).spec.publish is None  # type: ignore[attr-defined]
    server.kubectl(*named, check=True)
    server.kubectl("delete", "lightcurvejob", key.name, check=True)


def test_a_misspelt_field_is_refused(server: ApiServer) -> None:
    done = server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed(EXPOSURE, [(("spec", "nframes"), 3)]))
    assert done.returncode != 0
    assert 'unknown field "spec.nframes"' in done.stderr


def test_every_rule_has_a_manifest_that_is_refused() -> None:
    said = [message for *_, message in (*REFUSED, *FIXED)] + [FIXED_FOLDER, BEGUN]

    def rules(node: Manifest) -> Iterator[str]:
        yield from (rule["message"] for rule in node.get("x-kubernetes-validations", []))
        for child in (*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])):
            yield from rules(child)

    for kind in KINDS:
        for message in rules(structural(kind.model)):
            assert any(one in message for one in said), f"no manifest shows: {message}"


def test_people_get_help(applied: ApiServer) -> None:
    explained = applied.kubectl("explain", "exposure.spec.pipelines", check=True).stdout
    assert "Pipelines of the reduction" in explained
    header, row = applied.kubectl("get", "exp", check=True).stdout.splitlines()[:2]
    assert header.split() == [
        "NAME", "OBJECT", "NIGHT", "SENSORS", "REDUCED", "REJECTED", "FAILED", "SUCCEEDED", "REASON", "AGE"
    ]  # fmt: skip
    assert row.split()[:3] == ["good", "M42", "20300101"]
    found = applied.kubectl("get", "gozen", "-o", "name", check=True).stdout.split()
    assert sorted(found) == [f"{kind.name.lower()}.gozen.astro/good" for kind in sorted(KINDS, key=lambda k: k.name)]
