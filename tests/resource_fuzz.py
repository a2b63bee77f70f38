"""Random resources from the schemas that the API server checks: valid ones, and ones with exactly one invalid value.

The texts are unusual on purpose: options, shell commands, line ends, JSON, templates, long and strange Unicode.
"""

from __future__ import annotations

import random
import re
from typing import Any

from gozen_operator.crds import KINDS, structural

SCHEMAS = {kind.name: structural(kind.model)["properties"]["spec"] for kind in KINDS}
NASTY = (
    "--retain-raw",
    "--archive",
    "-rf",
    "-",
    "--",
    "$(HOME)",
    "$(JOB_COMPLETION_INDEX)",
    "$$(A)",
    "; rm -rf /",
    "`id`",
    "$(id)",
    "a\nb",
    "a\n",
    "\n--debug",
    '{"image": "evil"}',
    "{{ .Values }}",
    "../../etc",
    "' OR 1=1 --",
    "a\x00b",
    "%2e%2e/",
    "",
    " ",
    "a b",
    "\u202eabc",
    "\N{SNOWMAN}" * 40,
    "x" * 5000,
    "null",
    "true",
    "1e309",
    "a,b",
    "a;b",
    "A" * 68,
    "a_",
    "s3://bucket/$(HOME)/x",
    "file:///etc/--archive",
    "a://" + "$" * 3 + "(HOME)",
    "00000007",
    "tomoe",
    "r1",
    "lightcurves",
    "20300101",
    "2030-01-01T08:00:00Z",
    "2030-01-01T20:00:00+09:00",
    "2030-13-45T08:00:00Z",
    "2030-02-30T08:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "2030-01-01T23:59:60Z",
    "2030-01-01t08:00:00z",
    "111",
    "112",
    "900",
)
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "abc-019",
    "az09_",
    "AZaz09._-",
    "0123",
    "!~ -$(){}';|&<>\"\\`abc",
)
_LIKELY = {"instrument": "tomoe", "run": "r1", "night": "20300101", "targetCatalog": "lightcurves"}
WRONG: tuple[Any, ...] = (
    None,
    "",
    "--help",
    -1,
    0,
    2**63,
    1.5,
    18.0,
    True,
    [],
    {},
    [None],
    {"a": 1},
    ["x", "x"],
    "\n",
    1e308,
)
Spec = dict[str, Any]


FOLDERS = ("M31", "Survey/M31", "$(HOME)/$$(a)", "--name=x", "été 100 % #1", ".hidden/観測")
"""Folders that Nextcloud keeps, and that look like something else on a command line."""


def resource(rng: random.Random, kind: str, name: str) -> dict[str, Any]:
    """Make a resource that its schema allows; of those that it refuses by a rule over several fields there are some."""
    spec = _object(rng, SCHEMAS[kind], ())
    if kind == "Observation":
        spec["operations"] = [_step(rng) for _ in range(rng.randint(1, 6))]
        if rng.random() < 0.7:  # else it asks for exposures before it says of how many frames
            spec["operations"].insert(0, {"setParameter": {"nframe": 18, "tintegSec": 0.5}})
    if rng.random() < 0.7:
        _make_sense(rng, kind, spec)
    if kind == "Exposure" and spec.get("dataType", "OBJECT") != "OBJECT":
        spec["pipelines"] = []
    return {"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _make_sense(rng: random.Random, kind: str, spec: Spec) -> None:
    """Change what most often makes a resource be refused."""
    if kind == "Exposure":
        spec.pop("rawURL", None)
        spec |= {"instrument": "tomoe", "night": "20300101", "exposureId": rng.choice([1, 7, rng.randint(20, 49)])}
        spec["sensors"] = rng.sample(["111", "112", "113", "121", "122"], rng.randrange(5))
    if kind == "LightCurveJob":
        if "publish" in spec:
            publish_sense(rng, spec["publish"])
        spec["selection"].setdefault("night", "20300101")
        spec |= {"aperture": rng.choice([10, 21]), "cadence": "frame"}


def publish_sense(rng: random.Random, publish: Spec) -> None:
    """Change what a rule of `publish` refuses that its schema does not tell."""
    publish["folder"] = rng.choice(FOLDERS)
    for word in ("users", "groups"):
        if word in publish:
            publish[word] = [one for one in dict.fromkeys(publish[word]) if one]
    if not publish.get("link"):
        publish.pop("linkDays", None)
        publish.pop("linkPassword", None)


def spoiled(rng: random.Random, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a resource with one thing changed that may be wrong."""
    spec = _copy(manifest["spec"])
    places = list(_places(spec))
    holder, word = rng.choice(places)
    match rng.randrange(4):
        case 0:
            holder[word] = _copy(rng.choice(WRONG))
        case 1:
            holder[word] = rng.choice(NASTY)
        case 2 if isinstance(holder, dict):
            del holder[word]
        case _:
            spec[rng.choice(["image", "command", "template", "serviceAccountName", "nodeName"])] = rng.choice(NASTY)
    return {**manifest, "spec": spec}


def _places(node: Any) -> Any:
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for word, child in items:
        yield node, word
        yield from _places(child)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {word: _copy(child) for word, child in value.items()}
    return [_copy(child) for child in value] if isinstance(value, list) else value


def _step(rng: random.Random) -> Spec:
    """Return a step of a recipe: a mapping with one word."""
    words = SCHEMAS["Observation"]["properties"]["operations"]["items"]["properties"]
    word = rng.choice(["exposure", "exposure", "pointing", *words])
    made = _value(rng, words[word], (word,))
    return {word: made or {"nframe": 1}} if word == "setParameter" else {word: made}


def _object(rng: random.Random, schema: Spec, path: tuple[str, ...]) -> Spec:
    required = schema.get("required", [])
    chosen = [word for word in schema["properties"] if word in required or rng.random() < 0.6]
    return {word: _value(rng, schema["properties"][word], (*path, word)) for word in chosen}


def _value(rng: random.Random, schema: Spec, path: tuple[str, ...]) -> Any:
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return rng.choice(["frame", 1, 86400])
    match schema["type"]:
        case "object":
            return _object(rng, schema, path)
        case "array":
            return _array(rng, schema, path)
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            least, most = int(schema.get("minimum", -(2**31))), int(schema.get("maximum", 2**31))
            return rng.choice([least, most, min(max(7, least), most), rng.randint(least, min(most, least + 50))])
        case "number":
            return _number(rng, schema)
    return _text(rng, schema, path[-1])


def _array(rng: random.Random, schema: Spec, path: tuple[str, ...]) -> list[Any]:
    least, most = schema.get("minItems", 0), min(schema.get("maxItems", 5), 5)
    found = [_value(rng, schema["items"], path) for _ in range(rng.randint(least, max(least, most)))]
    if schema.get("x-kubernetes-list-type") == "set":
        return list(dict.fromkeys(found))
    return found


def _number(rng: random.Random, schema: Spec) -> float:
    least, most = float(schema.get("minimum", -1e6)), float(schema.get("maximum", 1e6))
    middle = least + (most - least) * rng.random()
    return rng.choice([middle, round(middle, 2), middle * 1e-9 if least <= 0 else middle])


def _text(rng: random.Random, schema: Spec, word: str) -> str:
    pattern, longest = schema.get("pattern"), schema.get("maxLength", 5000)
    if "date-time" in schema.get("format", ""):
        if rng.random() < 0.9:
            return {"start": "2030-01-01T08:00:00Z", "end": "2030-01-02T20:00:00+09:00"}[word]
        return rng.choice([text for text in NASTY if text.startswith(("2030", "9999", "0001"))])
    if word in _LIKELY and rng.random() < 0.6:
        return _LIKELY[word]
    for _ in range(40):
        text = rng.choice(NASTY) if rng.random() < 0.5 else _letters(rng, min(longest, 70))
        if len(text) <= longest and (pattern is None or re.search(pattern.replace("$", r"\Z"), text)):
            return text
    return "20300101" if "[0-9]{4}" in str(pattern) else "s3://bucket/raw" if "://" in str(pattern) else "a1"


def _letters(rng: random.Random, longest: int) -> str:
    return "".join(rng.choices(rng.choice(_ALPHABETS), k=rng.randint(1, longest)))
