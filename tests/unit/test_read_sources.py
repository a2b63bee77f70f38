"""Test the operator's cache of instrument profiles: it has the readable ones, until their file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gozen.errors import StorageUnavailable
from gozen.instrument.profile import FOLDER, Profile, load_profile
from gozen_operator.process import read_sources
from gozen_operator.reconcile.facts import RequestProblem


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ('{"rows": 12, "exposures": 2}', {"rows": 12, "exposures": 2}),
        ('{"rows": 12, "exposures":}', None),
        ('{"rows": "many", "exposures": -1, "manifest": 3}', {"manifest": 3}),
        ("12 rows", None),
    ],
)
def test_a_last_word_that_was_cut_short_keeps_no_job_from_its_end(said, numbers):
    ended = {"state": {"terminated": {"exitCode": 0, "message": said}}}
    assert read_sources.result_of([{"status": {"containerStatuses": [ended]}}]) == numbers


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    shipped = Path(load_profile.__code__.co_filename).parent / "profiles" / "tomoe.yaml"
    return tmp_path, shipped.read_text(encoding="utf-8")


def test_a_profile_that_cannot_be_read_now_refuses_nobody(site, monkeypatch):
    folder, text = site
    (folder / "ours.yaml").write_text(text)
    read = Path.read_text

    def stalled(path, *given, **more):
        if path.name == "ours.yaml":
            raise OSError(5, "Input/output error")
        return read(path, *given, **more)

    with monkeypatch.context() as trouble:
        trouble.setattr(Path, "read_text", stalled)
        with pytest.raises(StorageUnavailable, match="Input/output error"):
            read_sources.profile_of("ours")
    assert isinstance(read_sources.profile_of("ours"), Profile)


def test_a_profile_that_comes_later_is_found_and_a_changed_one_is_read_again(site):
    folder, text = site
    problem = read_sources.profile_of("later")
    assert isinstance(problem, RequestProblem)
    assert (problem.reason, "later" in problem.message) == ("UnknownInstrument", True)
    (folder / "later.yaml").write_text(text)
    first = read_sources.profile_of("later")
    assert read_sources.profile_of("later") is first
    (folder / "later.yaml").write_text(text.replace("default_gain: high", "default_gain: low"))
    assert (first.default_gain, read_sources.profile_of("later").default_gain) == ("high", "low")
