"""``skaffold.yaml`` is valid for Skaffold, and names existing files, images and values.

Its schema is that of Skaffold's Go module, kept in the cache. Skaffold itself is not run, because no package has it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import pytest
import yaml
from tests.cluster.tools import go
from tests.suite import cache
from tests.suite.clock import say

ROOT = Path(__file__).parents[2]
MODULE = "github.com/GoogleContainerTools/skaffold/v2@v2.16.1"
CONFIG = yaml.safe_load((ROOT / "skaffold.yaml").read_text())


@pytest.fixture(scope="module")
def schema() -> dict[str, object]:
    version = CONFIG["apiVersion"].removeprefix("skaffold/")
    return json.loads(
        cache.kept(f"skaffold-{MODULE.rpartition('@')[2]}-{version}.json", partial(fetch, version)).read_text()
    )


def fetch(version: str, to: Path) -> None:
    """Fetch the schema of a version of skaffold.yaml."""
    say("fetching Skaffold's module for its schema (once, 30 MB)")
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "GOMODCACHE": folder, "GOFLAGS": "-mod=mod -modcacherw"}
        words = [go(), "mod", "download", "-json", MODULE]
        done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        source = Path(json.loads(done.stdout)["Dir"]) / "docs-v2" / "content" / "en" / "schemas"
        shutil.copyfile(source / f"{version}.json", to)


def test_it_is_valid(schema) -> None:
    jsonschema.validate(CONFIG, schema)


def test_a_slip_of_the_pen_would_be_found(schema) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**CONFIG, "builds": {}}, schema)


def test_what_it_names_is_there() -> None:
    images = {}
    for one in CONFIG["build"]["artifacts"]:
        dockerfile = (ROOT / one["docker"]["dockerfile"]).read_text()
        assert "target" not in one["docker"] or f"AS {one['docker']['target']}\n" in dockerfile
        images[one["image"].replace("-", "_")] = one
    (release,) = CONFIG["deploy"]["helm"]["releases"]
    assert (ROOT / release["chartPath"] / "Chart.yaml").is_file()
    values = yaml.safe_load((ROOT / release["chartPath"] / "values.yaml").read_text())
    for path in (*release["setValues"], *release["setValueTemplates"]):
        at = values
        for part in path.split("."):
            assert part in at, path
            at = at[part]
    for template in release["setValueTemplates"].values():
        assert re.fullmatch(r"\{\{\.IMAGE_(?:REPO|TAG)_(\w+)\}\}", template).group(1) in images
