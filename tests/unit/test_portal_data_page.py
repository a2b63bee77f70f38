"""Test the portal's first page: its content for an archive, for an empty archive, and without an archive.

Names in the archive and of users are hostile here. How the page looks is tested in tests/services.
"""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import portal_samples
from tests.fake_hub import FakeHub
from tests.portal_samples import PREFIX, browser, log_in, sample_archive, write_night, write_release, write_table

from gozen.archive.stores.open_store import open_store
from gozen.errors import StorageUnavailable
from gozen.portal import data_page
from gozen.portal.holdings import archive_contents, fresh_value, night_pages, reading_threads

running_hub, running_portal, hub, client, logged_in = portal_samples.FIXTURES
HOSTILE = "<img src=x onerror=alert(1)>\"'"


def page(hub: FakeHub, archive, path: str = PREFIX, **changed) -> str:
    """Return the page of a user who has logged in."""
    with browser(hub, archive, **changed) as client:
        log_in(client, hub)
        answer = client.get(path)
        assert answer.status_code == 200
        return answer.text


def text(html: str) -> str:
    """Return the text of a page, without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


class Tags(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_tables_releases_and_nights_with_rows_and_sizes(hub, tmp_path) -> None:
    sample_archive(tmp_path)
    found = text(page(hub, tmp_path))
    assert "lightcurves light curves 21,180 822 kB 2 2026-01-14 to 2026-01-15" in found
    assert "objects list of objects 26 3.6 kB" in found
    assert "dr1 connect(rerun=&#34;dr1&#34;) lightcurves light curves 15,000 600 kB" in found
    assert "2026-01-15 2 12:00–12:14 4 0" in found
    assert "2026-01-14 1 12:00–12:00 2 0" in found
    assert found.index("2026-01-15 2 12:00") < found.index("2026-01-14 1 12:00")
    assert re.search(r"number of nights 2 latest night 2026-01-15 rows in live tables 21,206", found)


def test_sizes_are_given_in_bytes_for_programs(hub, tmp_path) -> None:
    sample_archive(tmp_path)
    assert '<data value="822000">822 kB</data>' in page(hub, tmp_path)


def test_one_click_opens_the_first_notebook_and_the_lab(hub, tmp_path) -> None:
    sample_archive(tmp_path)
    links = [found["href"] for tag, found in Tags(page(hub, tmp_path)).found if tag == "a"]
    assert f"{hub.url}/hub/user-redirect/lab/tree/notebooks/light-curve.ipynb" in links
    assert f"{hub.url}/hub/user-redirect/lab" in links


def test_notebooks_are_listed_by_their_headings_the_first_one_first(hub, tmp_path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells = {"a b.ipynb": "# All stars\n\nIt *counts* `stars`.\nMore.", "light-curve.ipynb": "# One star"}
    for name, source in cells.items():
        notebook = {"cells": [{"cell_type": "code", "source": "#"}, {"cell_type": "markdown", "source": source}]}
        (folder / name).write_text(json.dumps(notebook))
    (folder / "broken.ipynb").write_text("{")
    found = page(hub, tmp_path / "archive", notebooks=folder)
    assert re.findall(r'ipynb">([^<]+)</a>(?:<p>([^<]*)</p>)?', found)[1:] == [
        ("One star", ""),
        ("All stars", "It counts stars."),
        ("broken", ""),
    ]
    assert "notebooks/a%20b.ipynb" in found


@pytest.mark.parametrize(
    ("heading", "shown"),
    [
        ("light_curve", "light_curve"),
        ("light_curve_of_one_star", "light_curve_of_one_star"),
        ("Read light_curve.ipynb and all_stars.ipynb", "Read light_curve.ipynb and all_stars.ipynb"),
        ("Columns mag_ and _healpix_29", "Columns mag_ and _healpix_29"),
        ("The file __init__.py", "The file __init__.py"),
        ("*.fits and *.parquet", "*.fits and *.parquet"),
        ("`a_b*c*` of `light_curve`", "a_b*c* of light_curve"),
        (r"light\_curve \*new\*", "light_curve *new*"),
        ("_All_ *stars* of __one__ **night**", "All stars of one night"),
        ("**All _stars_** with `code`", "All stars with code"),
        ("See [light_curve](light_curve.ipynb)", "See light_curve"),
        ("これは*強調*です", "これは強調です"),
    ],
)
def test_titles_lose_their_marks_but_names_keep_their_underscores(hub, tmp_path, heading: str, shown: str) -> None:
    cell = {"cell_type": "markdown", "source": f"# {heading}\n\nFirst {heading}."}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    found = page(hub, tmp_path / "archive", notebooks=tmp_path)
    assert f'ipynb">{shown}</a><p>First {shown}.</p>' in found


def test_a_notebook_without_heading_is_listed_by_the_name_of_its_file(hub, tmp_path) -> None:
    (tmp_path / "light_curve_of_*x*.ipynb").write_text('{"cells": []}')
    assert 'ipynb">light_curve_of_*x*</a>' in page(hub, tmp_path / "archive", notebooks=tmp_path)


def test_a_missing_table_of_the_first_notebook_is_said(hub, tmp_path) -> None:
    write_table(sample := sample_archive(tmp_path / "a"), "other", "object", 1, 1)
    assert "not in the archive yet" not in page(hub, tmp_path / "a")
    sample.delete("catalogs/lightcurves/manifest/000000001.json")
    assert "The first notebook reads the table lightcurves" in text(page(hub, tmp_path / "a"))


def test_a_damaged_table_of_the_first_notebook_is_not_called_missing(hub, tmp_path) -> None:
    sample_archive(tmp_path).write("catalogs/lightcurves/manifest/000000002.json", b"{")
    found = text(page(hub, tmp_path))
    assert "The first notebook reads the table lightcurves, which cannot be read" in found
    assert "not in the archive yet" not in found


def test_nothing_is_said_about_the_table_of_another_first_notebook(hub, tmp_path) -> None:
    (tmp_path / "another.ipynb").write_text('{"cells": []}')
    write_table(open_store(tmp_path / "archive"), "objects", "object", 1, 1)
    assert "The first notebook reads" not in page(hub, tmp_path / "archive", notebooks=tmp_path)


def test_an_archive_that_a_setting_excludes_is_not_called_away(hub, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    found = page(hub, tmp_path / "file")
    assert "The archive cannot be opened" in found
    assert "is not a folder" in found
    assert "Reload" not in found


def test_a_connection_that_times_out_is_not_called_slow(hub, tmp_path, monkeypatch) -> None:
    """Then nothing is being read any more: the page must not say that the portal continues."""

    def out_of_time(store):
        raise TimeoutError

    monkeypatch.setattr(archive_contents, "tables", out_of_time)
    with browser(hub, tmp_path) as client:
        log_in(client, hub)
        answer = client.get(PREFIX)
    assert answer.status_code == 500
    assert "continues to read" not in answer.text


@pytest.mark.parametrize("language", ["en", "ja"])
def test_an_empty_archive_says_what_to_do(hub, tmp_path, language: str) -> None:
    found = page(hub, tmp_path / "nothing", language=language)
    assert {"en": "has no data yet", "ja": "まだデータがありません"}[language] in found
    assert "gozen night append" in found
    assert str(tmp_path / "nothing") in found
    assert "light-curve.ipynb" in found


def test_an_archive_that_cannot_be_read_says_why_and_leaves_the_lab(hub, monkeypatch) -> None:
    monkeypatch.setenv("GOZEN_STORAGE__ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOZEN_STORAGE__ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-s3")
    found = page(hub, "s3://bucket/archive")
    assert "The archive cannot be read now" in found
    assert "127.0.0.1:9" in found
    assert "secret-of-s3" not in found
    assert "user-redirect/lab" in found


def test_an_archive_that_is_back_is_shown_at_once(hub, tmp_path, monkeypatch) -> None:
    sample_archive(tmp_path)
    listed = archive_contents.tables

    def away(store):
        raise StorageUnavailable("the network is down")

    with browser(hub, tmp_path) as client:
        monkeypatch.setattr(archive_contents, "tables", away)
        log_in(client, hub)
        assert "the network is down" in client.get(PREFIX).text
        monkeypatch.setattr(archive_contents, "tables", listed)
        assert "21,180" in client.get(PREFIX).text


def test_a_slow_archive_does_not_hold_up_the_page(hub, tmp_path, monkeypatch) -> None:
    sample_archive(tmp_path)
    listed, go = archive_contents.tables, threading.Event()

    def slow(store):
        assert go.wait(60)
        return listed(store)

    monkeypatch.setattr(archive_contents, "tables", slow)
    with browser(hub, tmp_path, patience_s=0.05) as client:
        log_in(client, hub)
        found = client.get(PREFIX).text
        assert "The archive is slow" in found
        assert "light-curve.ipynb" in found
        go.set()
        while "The archive is slow" in client.get(PREFIX).text:
            pass
        assert "21,180" in client.get(PREFIX).text


@pytest.fixture
def hung(monkeypatch) -> Iterator[threading.Event]:
    """Let the archive hang from now on, until the event is set."""
    listed, go = archive_contents.tables, threading.Event()
    monkeypatch.setattr(archive_contents, "tables", lambda store: go.wait(60) and listed(store))
    yield go
    go.set()


def test_an_archive_that_hangs_is_said(hub, tmp_path, hung) -> None:
    sample_archive(tmp_path)
    with browser(hub, tmp_path, patience_s=0.05, deadline_s=0.06) as client:
        log_in(client, hub)
        while "The archive is slow" in (found := client.get(PREFIX).text):
            pass
        assert "The archive does not answer" in found
        assert "min ago" not in found
        hung.set()
        while "The archive does not answer" in client.get(PREFIX).text:
            pass
        assert "21,180" in client.get(PREFIX).text


class TwelveMinutesAgo(datetime):
    @classmethod
    def now(cls, tz=None) -> datetime:
        return datetime.now(tz) - timedelta(minutes=12)


@pytest.mark.parametrize("oldest", [archive_contents, night_pages])
def test_when_the_archive_hangs_the_last_contents_are_shown_with_their_age(hub, tmp_path, monkeypatch, oldest) -> None:
    sample_archive(tmp_path)
    listed, go = archive_contents.tables, threading.Event()
    with browser(hub, tmp_path, deadline_s=0.1) as client:
        log_in(client, hub)
        monkeypatch.setattr(oldest, "datetime", TwelveMinutesAgo)
        assert "min ago" not in client.get(PREFIX).text
        monkeypatch.setattr(fresh_value, "FRESH_S", 0.0)
        monkeypatch.setattr(archive_contents, "tables", lambda store: go.wait(60) and listed(store))
        while "The archive does not answer" not in (found := text(client.get(PREFIX).text)):
            pass
        go.set()
    assert "This page shows what was read 12 min ago." in found
    assert "lightcurves light curves 21,180 822 kB" in found
    assert "2026-01-15 2 12:00–12:14 4 0" in found


def test_reads_that_hang_are_few_and_hold_up_nothing_else(hub, tmp_path, monkeypatch) -> None:
    store = sample_archive(tmp_path, nights=())
    for day in range(1, 31):
        write_night(store, f"202601{day:02}")
    reading, go = [], threading.Event()
    monkeypatch.setattr(night_pages, "count_night", lambda _, night: reading.append(night) or (go.wait(60) and None))
    monkeypatch.setattr(night_pages, "NIGHTS_A_PAGE", 1)
    with browser(hub, tmp_path, patience_s=0.01, deadline_s=0.02) as client:
        log_in(client, hub)
        while "21,180" not in client.get(PREFIX).text:
            pass
        for number in range(1, 31):
            found = client.get(f"{PREFIX}?page={number}").text
            assert "21,180" in found
            assert "The numbers of these nights could not be read yet" in found
        assert len(reading) <= reading_threads.AT_ONCE
        assert client.get(f"{PREFIX}static/portal.css").status_code == 200
        go.set()


def test_pages_that_wait_for_the_archive_do_not_pile_up(hub, tmp_path, monkeypatch) -> None:
    sample_archive(tmp_path, nights=("20260114", "20260115", "20260116"))
    asked, go = [], threading.Event()
    monkeypatch.setattr(night_pages, "count_night", lambda _, night: asked.append(night) or (go.wait(60) and None))
    monkeypatch.setattr(night_pages, "NIGHTS_A_PAGE", 1)
    monkeypatch.setattr(data_page, "_PAGES_KEPT", 2)
    with browser(hub, tmp_path, patience_s=0.01, deadline_s=60) as client:
        log_in(client, hub)
        while "21,180" not in client.get(PREFIX).text:
            pass
        for number in (1, 2):
            assert "The archive is slow" in client.get(f"{PREFIX}?page={number}").text
        assert "The archive does not answer" in client.get(f"{PREFIX}?page=3").text
        assert "20260114" not in asked
        go.set()
        while "could not be read yet" in client.get(f"{PREFIX}?page=3").text:
            pass


def test_the_archive_is_read_once_for_many_requests(hub, tmp_path, monkeypatch) -> None:
    sample_archive(tmp_path)
    listed, calls = archive_contents.tables, []
    monkeypatch.setattr(archive_contents, "tables", lambda store: calls.append(1) or listed(store))
    with browser(hub, tmp_path) as client:
        log_in(client, hub)
        for _ in range(5):
            client.get(PREFIX)
    assert len(calls) == 1


def test_what_is_damaged_is_marked_and_the_rest_is_shown(hub, tmp_path) -> None:
    store = sample_archive(tmp_path)
    store.write("catalogs/broken/manifest/000000001.json", b"{")
    store.write("releases/dr2.json", b"[]")
    store.write("tables/exposures/20260116.parquet", b"not a table")
    found = text(page(hub, tmp_path))
    assert found.count("cannot be read") == 3
    assert "gozen archive rebuild 20260116" in found
    assert "21,180" in found


MANIFEST = {
    "format": 1, "name": "odd", "version": 1, "kind": "object", "generation": 1, "order": 5, "schema": "s",
    "index": "i", "coverage": "c", "files": [{"path": "a", "rows": 1, "bytes": 1}], "nights": {}, "journal": 0,
    "margin": "",
}  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "null",
        "[[",
        "[" * 100_000,
        json.dumps({**MANIFEST, "kind": "odd"}),
        json.dumps({**MANIFEST, "kind": None}),
        json.dumps({**MANIFEST, "nights": None}),
        json.dumps({**MANIFEST, "files": [{"path": "a", "rows": "1", "bytes": None}]}),
    ],
    ids=["null", "text", "deep", "kind", "no kind", "nights", "rows"],
)
def test_a_manifest_that_is_not_valid_is_only_marked(hub, tmp_path, content: str) -> None:
    store = sample_archive(tmp_path)
    store.write("catalogs/odd/manifest/000000001.json", content.encode())
    store.write("catalogs/lightcurves/release/dr2.json", content.encode())
    tables = {"odd": {"collection": "lightcurves", "manifest": "release/dr2.json"}}
    store.write("releases/dr2.json", json.dumps({"format": 1, "tables": tables}).encode())
    found = text(page(hub, tmp_path))
    assert found.count("cannot be read") == 2
    assert "21,180" in found
    assert "dr1" in found


@pytest.mark.parametrize(
    "rows",
    [
        [{"exposure": "a", "status": "reduced"}],
        [{"exposure": "a", "status": "reduced", "mjd_start": float("nan")}],
        [{"exposure": "a", "status": "reduced", "mjd_start": float("inf")}],
        [{"exposure": "a", "status": "reduced", "mjd_start": "yesterday"}],
        [{"exposure": ["a"], "status": {"is": 1}, "mjd_start": 1.0}],
        [{"nothing": 1}],
    ],
    ids=["no start", "nan", "inf", "text", "nested", "no columns"],
)
def test_a_log_of_other_columns_spoils_no_other_night(hub, tmp_path, rows) -> None:
    store = sample_archive(tmp_path)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    store.write("tables/exposures/20260116.parquet", sink.getvalue())
    found = text(page(hub, tmp_path))
    assert "2026-01-16" in found
    assert "2026-01-15 2 12:00–12:14 4 0" in found


def test_stray_objects_are_passed_over(hub, tmp_path) -> None:
    store = sample_archive(tmp_path)
    for stray in (
        "catalogs/objects/manifest/.000000002.json.Xy12",
        "catalogs/README",
        "releases/.dr2.json.Xy12",
        "tables/exposures/20260116 (copy).parquet",
    ):
        store.write(stray, b"{")
    (tmp_path / os.fsdecode(b"catalogs/\xff/manifest")).mkdir(parents=True)
    (tmp_path / os.fsdecode(b"catalogs/\xff/manifest/000000001.json")).write_bytes(b"{")
    found = text(page(hub, tmp_path))
    assert "objects list of objects 26 3.6 kB" in found
    assert "2026-01-15 2 12:00" in found
    assert found.count("cannot be read") == 1  # the table whose name is not UTF-8
    assert "copy" not in found


def test_thousands_of_nights_come_in_pages(hub, tmp_path) -> None:
    store = sample_archive(tmp_path, nights=())
    nights = [
        f"20{year:02}{month:02}{day:02}" for year in range(20, 23) for month in range(1, 13) for day in range(1, 11)
    ]
    for night in nights:
        write_night(store, night)
    with browser(hub, tmp_path) as client:
        log_in(client, hub)
        seen: list[str] = []
        path: str | None = PREFIX
        while path:
            found = client.get(path).text
            seen += re.findall(r'<time datetime="([\d-]+)"', found)
            after = re.search(r'rel="next" href="([^"#]+)', found)
            path = after and after[1]
        assert seen == sorted((f"{one[:4]}-{one[4:6]}-{one[6:]}" for one in nights), reverse=True)
        assert 'rel="prev"' not in client.get(PREFIX).text


@pytest.mark.parametrize("asked", ["0", "-1", "99999999999999999999", "x", "", "1e9", "१"])
def test_a_page_of_nights_that_does_not_exist_shows_the_nearest(hub, tmp_path, asked: str) -> None:
    sample_archive(tmp_path)
    assert "2026-01-15 2 12:00" in text(page(hub, tmp_path, f"{PREFIX}?page={asked}"))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_names_in_the_archive_and_of_users_are_only_text(hub, tmp_path, language: str) -> None:
    name = HOSTILE.replace("/", "")
    store = sample_archive(tmp_path / "a")
    write_table(store, name, "object", 1, 1)
    write_release(store, name, {name: ("object", 1, 1)})
    store.write(f"catalogs/{name}2/manifest/000000001.json", HOSTILE.encode())
    folder = tmp_path / "n"
    folder.mkdir()
    cell = {"cell_type": "markdown", "source": f"# {HOSTILE}\n\n{HOSTILE}."}
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": [cell]}))
    hub.log_in_as = HOSTILE
    found = page(hub, tmp_path / "a", language=language, notebooks=folder)
    assert found.count("&lt;img src=x onerror=alert(1)&gt;") >= 6
    for tag, attributes in Tags(found).found:
        assert tag not in ("script", "iframe", "object")
        assert not any(one.startswith("on") or one == "style" for one in attributes)
        assert attributes.get("src", PREFIX).startswith(PREFIX)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (None, "There is none"),
        ("/data/gaia.parquet", "with the file gaia.parquet"),
        ("objects", "with the table objects of this archive"),
        ("missing", "The settings name the table missing, which is not in this archive"),
        ("gaia.parquet", "with the file gaia.parquet"),
    ],
)
def test_the_reference_catalogue_is_named(hub, tmp_path, reference, said: str, monkeypatch) -> None:
    sample_archive(tmp_path)
    if reference:
        monkeypatch.setenv("GOZEN_REFERENCE", reference)
    found = text(page(hub, tmp_path))
    assert said in found
    assert ("objects reference catalogue 26" in found) == (reference == "objects")


def test_gaia_in_the_archive_is_the_reference_catalogue(hub, tmp_path) -> None:
    write_table(sample_archive(tmp_path), "gaia", "object", 1_800_000_000, 250 * 10**9)
    found = text(page(hub, tmp_path))
    assert "gaia reference catalogue 1,800,000,000 250 GB" in found
    assert "rows in live tables 21,206 size of live tables 826 kB" in found
    assert "with the table gaia of this archive. It has 1,800,000,000 rows (250 GB)." in found
