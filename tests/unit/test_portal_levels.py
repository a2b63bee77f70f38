"""Test what the portal shows to members and to other users: names, sizes, nights and notebooks that it withholds.

Members are named, or belong to a group that the hub gives with the user; the settings for both are tested too. The keys
that each level may read: test_access_levels. A real hub: tests/services/test_hub.py.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests import portal_samples
from tests.fake_hub import FakeHub
from tests.portal_samples import PREFIX, browser, environment, log_in, sample_archive, write_release, write_table

from gozen.archive.access_levels import Members, may_read
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.format import layout
from gozen.errors import BadRequest
from gozen.portal.holdings import archive_contents
from gozen.portal.shell.portal_settings import PortalSettings

running_hub, running_portal, hub, client, logged_in = portal_samples.FIXTURES
SURVEY = Members(users=frozenset({"ada"}), groups=frozenset({"survey"}))
RELEASED = "dr1 connect(rerun=&#34;dr1&#34;) lightcurves light curves 15,000 600 kB"
OF_MEMBERS = ("21,180", "list of objects", "822 kB", "2026-01-14", "2026-01-15", "Live tables", "Nights", "Reference")
ROOT = Path(__file__).parents[2]


def text(html: str) -> str:
    """Return the text of a page, without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def page_of(hub: FakeHub, client: TestClient, user: str) -> str:
    """Return the text of the first page that a user sees after a log-in."""
    client.cookies.clear()
    hub.log_in_as = user
    log_in(client, hub)
    answer = client.get(PREFIX)
    assert answer.status_code == 200
    return text(answer.text)


def is_for_members(page: str) -> bool:
    """Return whether a page is the one of members; it must be one of the two, whole."""
    whole = all(word in page for word in OF_MEMBERS) and "You see only releases" not in page
    few = not any(word in page for word in OF_MEMBERS) and "You see only releases" in page
    assert RELEASED in page
    assert whole != few
    return whole


@pytest.mark.parametrize(
    ("user", "groups", "members", "is_member"),
    [
        ("ada", [], SURVEY, True),
        ("grace", ["guests", "survey"], SURVEY, True),
        ("grace", ["guests"], SURVEY, False),
        ("survey", [], SURVEY, False),
        ("grace", ["ada"], SURVEY, False),
        ("grace", [], Members(everyone=True), True),
        ("ada", ["survey"], Members(), False),
    ],
)
def test_members_see_all_and_others_releases(hub, tmp_path, user, groups, members: Members, is_member: bool) -> None:
    sample_archive(tmp_path)
    hub.groups[user] = groups
    with browser(hub, tmp_path, members=members) as client:
        assert is_for_members(page_of(hub, client, user)) == is_member


@pytest.mark.parametrize(("language", "nobody"), [("en", "the administrators"), ("ja", "このプラットフォームの管理者")])
@pytest.mark.parametrize("contact", ["", "data@sky.example.org <b>"])
def test_one_sentence_says_why_and_whom_to_ask(hub, tmp_path, language: str, nobody: str, contact: str) -> None:
    sample_archive(tmp_path)
    with browser(hub, tmp_path, members=SURVEY, contact=contact, language=language) as client:
        log_in(client, hub)
        found = client.get(PREFIX).text
    (sentence,) = re.findall(r'<p class="caution">(.*)</p>', found)
    assert {"en": "only members see all", "ja": "メンバーだけが見られる"}[language] in sentence
    assert ("data@sky.example.org &lt;b&gt;" if contact else nobody) in sentence


def test_pages_of_both_at_the_same_time_are_never_mixed(hub, tmp_path, monkeypatch) -> None:
    """The archive is read once for each level, however the requests alternate."""
    sample_archive(tmp_path)
    opened = archive_contents.open_archive
    reads: list[int] = []
    monkeypatch.setattr(archive_contents, "open_archive", lambda site: reads.append(1) or opened(site))
    with browser(hub, tmp_path, members=SURVEY) as client:
        cookies = {}
        for user in ("ada", "grace"):
            page_of(hub, client, user)
            cookies[user] = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        client.cookies.clear()

        def asked(user: str) -> bool:
            return is_for_members(text(client.get(PREFIX, headers=cookies[user]).text)) == (user == "ada")

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(asked, ["ada", "grace", "grace", "ada"] * 5))
    assert len(reads) == 2


def test_a_member_who_leaves_the_group_sees_releases_a_minute_later(hub, tmp_path, monkeypatch) -> None:
    sample_archive(tmp_path)
    hub.groups["grace"] = ["survey"]
    with browser(hub, tmp_path, members=SURVEY) as client:
        assert is_for_members(page_of(hub, client, "grace"))
        hub.groups["grace"] = []
        clock = time.monotonic
        monkeypatch.setattr("jupyterhub.services.auth.time.monotonic", lambda: clock() + 61)
        assert not is_for_members(text(client.get(PREFIX).text))


def test_what_is_withheld_is_not_read_either(hub, tmp_path, monkeypatch) -> None:
    """So no message about a damaged table, and no table that hangs, reaches those who may not know of it."""
    sample_archive(tmp_path).write("catalogs/secret/manifest/000000001.json", b"{")
    seen: list[str] = []
    path = DirectoryStore.path
    monkeypatch.setattr(DirectoryStore, "path", lambda self, key: seen.append(key) or path(self, key))
    with browser(hub, tmp_path, members=SURVEY) as client:
        assert not is_for_members(found := page_of(hub, client, "grace"))
        assert not is_for_members(text(client.get(f"{PREFIX}?page=2").text))
    assert "secret" not in found
    assert "cannot be read" not in found
    assert "releases/dr1.json" in seen
    assert [key for key in seen if key != "releases" and not may_read("others", key)] == []


def test_an_archive_without_releases_is_not_called_empty(hub, tmp_path) -> None:
    write_table(sample_archive(tmp_path), "objects", "object", 26, 3_600)
    (tmp_path / "releases" / "dr1.json").unlink()
    with browser(hub, tmp_path, members=SURVEY) as client:
        found = page_of(hub, client, "grace")
    assert "There are no releases yet" in found
    assert "You see only releases" in found
    assert "has no data" not in found
    assert "gozen night append" not in found


def test_a_release_whose_folder_others_cannot_read_is_not_shown_to_them(hub, tmp_path, monkeypatch) -> None:
    """An earlier version of Gozen gave releases the numbers of live generations."""
    store = sample_archive(tmp_path)
    monkeypatch.setattr(layout, "FIRST_RELEASED", 2)
    write_release(store, "dr0", {"lightcurves": ("source", 4_711, 600_000)})
    with browser(hub, tmp_path, members=SURVEY) as client:
        for_ada, for_grace = (page_of(hub, client, user) for user in ("ada", "grace"))
    assert "4,711" in for_ada
    assert "dr0" not in for_grace
    assert "dr1" in for_grace


def written(folder: Path, **metadata: object) -> Path:
    """Write a notebook for each release, or other metadata, that it is said to read."""
    folder.mkdir()
    for name, said in metadata.items():
        cell = {"cell_type": "markdown", "source": f"# About {name}"}
        (folder / f"{name}.ipynb").write_text(json.dumps({"cells": [cell], "metadata": said}))
    return folder


def test_others_see_the_notebooks_that_read_a_release_of_the_archive(hub, tmp_path) -> None:
    sample_archive(tmp_path / "archive")
    folder = written(
        tmp_path / "notebooks",
        live={"kernelspec": {}},
        released={"gozen": {"release": "dr1"}},
        later={"gozen": {"release": "dr2"}},
        odd={"gozen": "dr1"},
        void={"gozen": {"release": None}},
    )
    with browser(hub, tmp_path / "archive", members=SURVEY, notebooks=folder) as client:
        for_ada, for_grace = (page_of(hub, client, user) for user in ("ada", "grace"))
        links = re.findall(r"notebooks/([^\"]+)\"", client.get(PREFIX).text)
    assert [word for word in ("live", "released", "later", "odd", "void") if f"About {word}" in for_grace] == [
        "released"
    ]
    assert all(f"About {word}" in for_ada for word in ("live", "released", "later", "odd", "void"))
    assert links == ["released.ipynb", "released.ipynb"]  # the button, and the list


def test_without_a_notebook_that_runs_the_button_opens_the_lab_alone(hub, tmp_path) -> None:
    sample_archive(tmp_path / "archive")
    folder = written(tmp_path / "notebooks", live={})
    with browser(hub, tmp_path / "archive", members=SURVEY, notebooks=folder) as client:
        found = page_of(hub, client, "grace")
    assert "Open my lab" in found
    assert "Open the first notebook" not in found
    assert "About live" not in found


def test_a_notebook_that_says_it_reads_a_release_reads_nothing_else() -> None:
    """A user who is not a member may read neither live tables nor true values, and nobody writes."""
    marked = {}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        content = json.loads(path.read_text("utf-8"))
        code = "".join("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code")
        release = content["metadata"].get("gozen", {}).get("release")
        only_release = set(re.findall(r"connect\((.*?)\)", code)) == {f'rerun="{release}"'}
        reads_more = re.search(r"truth|open_archive|write_table", code) is not None
        assert (release is not None) == (
            "connect()" not in code and not reads_more and bool(re.search(r"connect\(rerun", code))
        ), path.name
        if release:
            assert only_release, path.name
            marked[path.name] = release
    assert marked


@pytest.mark.parametrize("given", ["", "{}", '{"users": []}'])
def test_without_a_setting_nobody_is_a_member(given: str) -> None:
    assert PortalSettings.of_environment(environment() | {"GOZEN_PORTAL_ACCESS": given}).members == Members()


def test_members_come_from_the_environment() -> None:
    said = '{"users": ["ada"], "groups": ["survey"], "contact": "data@sky.example.org"}'
    found = PortalSettings.of_environment(environment() | {"GOZEN_PORTAL_ACCESS": said})
    assert (found.members, found.contact) == (SURVEY, "data@sky.example.org")


@pytest.mark.parametrize("given", ["everyone", "[]", '{"user": ["ada"]}', '{"everyone": "all"}', '{"users": "ada"}'])
def test_a_setting_that_cannot_be_understood_ends_the_portal(given: str) -> None:
    with pytest.raises(BadRequest, match=r"GOZEN_PORTAL_ACCESS .* does not say who is a member"):
        PortalSettings.of_environment(environment() | {"GOZEN_PORTAL_ACCESS": given})
