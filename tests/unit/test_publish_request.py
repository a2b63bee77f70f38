"""`publish` of a LightCurveJob: which folders, receivers and links are accepted, and what an old manifest gets to hear.

Not covered: the same rules at an API server (cluster/test_crds.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gozen.errors import BadRequest
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.publish_request import PublishRequest
from gozen.resources.yaml_resources import load_resources
from gozen.sharing.remote_names import LONGEST, check_path


def job(publish: Any) -> LightCurveJob:
    spec = {"selection": {"night": "20260115"}, "publish": publish}
    return LightCurveJob.model_validate(
        {"apiVersion": "gozen.astro/v1alpha1", "metadata": {"name": "tonight"}, "spec": spec}
    )


@pytest.mark.parametrize("folder", ["M31", "Survey/M31", "été/100 % #1", ".hidden", "M31/.gozen-published", "é" * 125])
def test_a_folder_that_nextcloud_can_keep(folder: str) -> None:
    assert PublishRequest(folder=folder).folder == folder


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("", "at least 1 character"),
        ("/M31", "every part of folder needs a name"),
        ("M31/", "every part of folder needs a name"),
        ("a//b", "every part of folder needs a name"),
        ("a/../b", "does not end with a dot"),
        ("draft.", "does not end with a dot"),
        ("a /b", "or a space"),
        ("a\\b", "backslash"),
        ("a\nb", "control character"),
        ("é" * 125 + "x", "longer than 250 bytes"),
        (".gozen-published", "Gozen keeps its notes in .gozen-published"),
        (".gozen-published/M31", "choose another folder"),
        ("x" * 256, "at most 255 characters"),
    ],
)
def test_a_folder_that_it_cannot_keep(folder: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PublishRequest(folder=folder)


def test_a_part_is_as_long_as_the_commands_accept() -> None:
    assert check_path(PublishRequest(folder="x" * LONGEST).folder)
    with pytest.raises(ValidationError, match=f"longer than {LONGEST} bytes"):
        PublishRequest(folder="x" * (LONGEST + 1))


@pytest.mark.parametrize("further", [{"link_days": 3}, {"link_password": True}])
def test_properties_of_a_link_need_a_link(further: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="add link: true"):
        PublishRequest(folder="M31", **further)
    assert PublishRequest(folder="M31", link=True, **further).link


def test_a_receiver_is_named_once() -> None:
    with pytest.raises(ValidationError, match="name each once"):
        PublishRequest(folder="M31", users=["sora", "sora"])


def test_what_was_stored_before_is_read() -> None:
    assert job(False).spec.publish is None
    assert job(None).spec.publish is None


def test_an_old_manifest_hears_what_to_write() -> None:
    text = """
apiVersion: gozen.astro/v1alpha1
kind: LightCurveJob
metadata: { name: tonight }
spec:
  selection: { night: "20260115" }
  publish: true
"""
    with pytest.raises(
        BadRequest,
        match=r"spec\.publish is True; true is not valid any more \(it had no effect\): write publish: \{folder",
    ):
        load_resources(text, "old.yaml")
