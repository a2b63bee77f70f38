"""The dialog "Share through Nextcloud" in a real JupyterLab, with a browser and the Nextcloud of the tests.

Covered: the button, the menu entry and the palette; log-in, share, link, end, in English and dark, with the keyboard;
names that look like HTML; the progress of a transfer, conflicts, Japanese; an app password that was revoked, a link
that fails, and the notices of requests that end after their dialog was closed. Not here: what the lab's server refuses
(services/test_share_dialog_server.py).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from .chromium import CONTRAST, chromium
from .jupyter_lab import jupyter_lab, open_dialog, set_up
from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer

pytestmark = pytest.mark.xdist_group("dialog")  # one JupyterLab is started for all
expect.set_options(timeout=30_000)  # a transfer may take a while on a machine with much to do
HOSTILE = "<img src=x onerror='document.title=1'>.csv"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharingServer]:
    sora = Person("sora", "of-sora", name="<b>Sora</b> Aoki", groups=("sky",))
    with SharingServer(tmp_path_factory.mktemp("server"), [Person("hoshi", "of-hoshi"), sora]) as found:
        yield found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("home")
    (found / "work" / "results").mkdir(parents=True)
    for name in ("lc.png", HOSTILE, "big.bin", "results/a.csv", "results/b.csv", "results/c.csv", "results/long.bin"):
        (found / "work" / name).write_bytes(b"content")
    set_up(found, theme="JupyterLab Dark")
    return found


@pytest.fixture(scope="module")
def address(home: Path, cloud: SharingServer) -> Iterator[str]:
    environment = {"GOZEN_SHARING__URL": cloud.url, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    with jupyter_lab(home / "work", home, environment) as found:
        yield found


@pytest.fixture(scope="module")
def page(address: str, browser: Browser) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 1200, "height": 860})
    found.set_default_timeout(30_000)
    wrong: list[str] = []
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.goto(address)
    found.wait_for_selector(".jp-DirListing-item")
    yield found
    assert wrong == []
    found.close()


def close(page: Page) -> None:
    """Close the dialog by the keyboard."""
    page.keyboard.press("Escape")
    expect(page.locator(".jp-Dialog-content")).to_have_count(0)


def logged_in(page: Page, cloud: SharingServer, dialog: Locator) -> None:
    """Log in, if nobody has."""
    forms = dialog.locator("form h3")
    forms.first.wait_for()
    if "Log in" in str(forms.first.text_content()):
        dialog.get_by_role("button", name="Log in").click()
        target = str(dialog.locator(".gozen-progress a").get_attribute("href"))
        with page.context.expect_page() as opened:
            dialog.locator(".gozen-progress a").click()
        opened.value.fill("input[name=user]", "hoshi")
        opened.value.fill("input[name=password]", "of-hoshi")
        opened.value.click("button")
        opened.value.wait_for_selector("text=Account connected")
        assert target.startswith(f"{cloud.url}/login/v2/flow/")
        opened.value.close()
    dialog.get_by_role("button", name="Log out").wait_for()


def enter_results(page: Page) -> None:
    """Show the folder with the tables, if another one is shown."""
    folder = page.locator(".jp-DirListing-item", has_text="results")
    if folder.count():
        folder.dblclick()
    page.locator(".jp-DirListing-item", has_text="a.csv").wait_for()


def held_transfers(cloud: SharingServer) -> threading.Event:
    """Let transfers of large files wait before their end, until the event is set."""
    held, real = threading.Event(), cloud._answer_dav

    def slow(environ: Any, start: Any) -> Any:
        if environ["REQUEST_METHOD"] == "MOVE":
            held.wait(60)
        return real(environ, start)

    cloud.routes.insert(0, ("/remote.php/dav/uploads", slow))
    return held


def asking(what: str) -> re.Pattern[str]:
    """Return what fits the address of one kind of requests to the lab's server."""
    return re.compile(rf"/gozen/share/{what}(\?|$)")


@contextmanager
def held_request(page: Page, path: re.Pattern[str], answer: object = None) -> Iterator[None]:
    """Hold a request that is made meanwhile, close the dialog, then let the server, or a given text, answer."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(path, hold)
    with page.expect_request(path):
        yield
    close(page)
    for one in held:
        one.continue_() if answer is None else one.fulfill(json=answer)
    page.unroute(path)


def notice(page: Page, text: str) -> Locator:
    """Return the notice with a text, which JupyterLab shows in a corner of the page."""
    found = page.locator(".Toastify__toast", has_text=text)
    expect(found).to_be_visible()
    return found


def reopened_by(shown: Locator, button: str = "Open the dialog") -> None:
    """Open the dialog again by the button of a notice, which then disappears."""
    shown.get_by_role("button", name=button).click()
    expect(shown).to_have_count(0)


def test_log_in_share_link_and_withdraw(page: Page, cloud: SharingServer) -> None:
    dialog = open_dialog(page, "lc.png")
    logged_in(page, cloud, dialog)
    assert page.evaluate(f"({CONTRAST})().filter(([_, text]) => document.querySelector('.gozen-Share')"
                         ".textContent.includes(text))") == []  # fmt: skip
    expect(dialog).to_contain_text("To share, the lab sends it to Nextcloud: Gozen/lc.png")
    names = dialog.get_by_label("Names")
    names.fill("soar")
    names.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("did you mean sora?")
    expect(names).to_be_focused()
    names.fill("sora")
    dialog.get_by_label("may change it").check()
    names.press("Enter")
    row = dialog.locator("tbody tr")
    expect(row).to_contain_text(["<b>Sora</b> Aoki (sora)read and write"])
    assert cloud.state.file("hoshi", "Gozen/lc.png").read_bytes() == b"content"

    dialog.get_by_label("Label").fill("for the referee")
    dialog.get_by_label("with a new password").check()
    dialog.get_by_role("button", name="Make link").click()
    expect(row).to_have_count(2)
    link = dialog.locator(".gozen-new-link")
    assert str(link.locator("a").get_attribute("href")).startswith(f"{cloud.url}/s/")
    assert len(str(link.locator("code").text_content())) == 20
    assert link.locator("img").evaluate("(one) => one.naturalWidth") > 50
    expect(row.filter(has_text="for the referee")).to_contain_text("anyone with the link (password)")

    for left in (1, 0):
        dialog.get_by_role("button", name="Withdraw").first.click()
        expect(row).to_have_count(left)
    expect(dialog).to_contain_text("Only you.")
    assert not cloud.book.items
    close(page)


def test_a_name_that_looks_like_html_is_text(page: Page, cloud: SharingServer) -> None:
    dialog = open_dialog(page, HOSTILE)
    logged_in(page, cloud, dialog)
    expect(dialog.locator(".jp-Dialog-header")).to_contain_text(HOSTILE)
    dialog.get_by_label("Names").fill("<i>nobody</i>")
    dialog.get_by_label("Names").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text(f"cannot share Gozen/{HOSTILE} with the user <i>nobody</i>")
    dialog.get_by_label("Label").fill("<b>label</b>")
    dialog.get_by_label("Label").press("Enter")
    expect(dialog.locator("tbody tr")).to_contain_text(["<b>label</b>"])
    assert dialog.locator("img:not([src^='data:']), b, i").count() == 0
    assert page.title() != "1"
    close(page)


def test_a_transfer_shows_its_progress_and_a_conflict_is_the_users_to_decide(
    page: Page, cloud: SharingServer, home: Path
) -> None:
    cloud.put("hoshi", "Gozen/big.bin", b"of somebody else")
    with (home / "work" / "big.bin").open("wb") as file:
        file.truncate(40_000_000)
    held = held_transfers(cloud)
    dialog = open_dialog(page, "big.bin")
    logged_in(page, cloud, dialog)
    dialog.get_by_label("Names").fill("sora")
    dialog.get_by_label("Names").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("it is another file with this name")
    dialog.get_by_role("button", name="Replace it in Nextcloud").click()
    expect(dialog.locator(".gozen-progress")).to_contain_text("40.0 MB of 40.0 MB sent")
    assert float(str(dialog.locator("progress").evaluate("(one) => one.value"))) == 1.0
    expect(dialog.get_by_label("Names")).to_be_disabled()
    held.set()
    expect(dialog.locator("tbody tr")).to_contain_text(["Sora"])
    close(page)


def test_several_files_by_the_button_and_the_palette(page: Page, cloud: SharingServer) -> None:
    enter_results(page)
    first = page.locator(".jp-DirListing-item", has_text="a.csv")
    first.click()
    page.locator(".jp-DirListing-item", has_text="b.csv").click(modifiers=["Shift"])
    page.locator(".jp-FileBrowser-toolbar [data-command='gozen-share:open']").click()
    dialog = page.locator(".jp-Dialog-content")
    logged_in(page, cloud, dialog)
    expect(dialog.locator(".jp-Dialog-header")).to_contain_text("Share 2 files")
    dialog.get_by_label("Names").fill("sky")
    dialog.get_by_label("these are groups").check()
    dialog.get_by_role("button", name="Share", exact=True).click()
    expect(dialog.locator("tbody tr")).to_contain_text(["results/a.csvgroup sky", "results/b.csvgroup sky"])
    close(page)
    first.click()
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill("Share through Nextcloud")
    page.keyboard.press("Enter")
    expect(page.locator(".jp-Dialog-header")).to_contain_text("Share a.csv")
    close(page)


def test_all_files_that_would_be_replaced_are_named(page: Page, cloud: SharingServer, home: Path) -> None:
    enter_results(page)
    for name in ("a.csv", "b.csv"):
        cloud.put("hoshi", f"Gozen/results/{name}", b"of somebody else")
    first = page.locator(".jp-DirListing-item", has_text="a.csv")
    first.click()
    page.locator(".jp-DirListing-item", has_text="b.csv").click(modifiers=["Shift"])
    page.locator(".jp-FileBrowser-toolbar [data-command='gozen-share:open']").click()
    dialog = page.locator(".jp-Dialog-content")
    logged_in(page, cloud, dialog)
    dialog.get_by_role("button", name="Make link").click()
    alert = dialog.get_by_role("alert")
    expect(alert.locator("li")).to_have_text(["results/a.csv", "results/b.csv"])
    dialog.get_by_role("button", name="Replace 2 files in Nextcloud").click()
    expect(dialog.locator(".gozen-new-link")).to_have_count(2)
    expect(alert).to_be_hidden()
    assert cloud.state.file("hoshi", "Gozen/results/b.csv").read_bytes() == b"content"
    close(page)


def test_a_transfer_outlives_its_dialog_and_makes_no_link_that_nobody_sees(
    page: Page, cloud: SharingServer, home: Path
) -> None:
    enter_results(page)
    with (home / "work" / "results" / "long.bin").open("wb") as file:
        file.truncate(20_000_000)
    held, broken = held_transfers(cloud), threading.Semaphore(3)
    dialog = open_dialog(page, "long.bin")
    logged_in(page, cloud, dialog)
    polls = re.compile("/gozen/share/uploads/")
    page.route(polls, lambda route: route.abort() if broken.acquire(blocking=False) else route.continue_())
    dialog.get_by_role("button", name="Make link").click()
    expect(dialog.locator(".gozen-progress")).to_contain_text("20.0 MB of 20.0 MB sent")
    expect(dialog.get_by_role("button", name="Log out")).to_be_disabled()
    close(page)
    held.set()
    page.unroute(polls)
    reopened_by(notice(page, "The dialog was closed, so no link was made."))
    expect(dialog.locator(".jp-Dialog-header")).to_contain_text("Share long.bin")
    expect(dialog.get_by_role("alert")).to_contain_text("so no link was made. The files are sent: make it again.")
    expect(dialog).to_contain_text("Only you.")
    close(page)
    assert cloud.state.file("hoshi", "Gozen/results/long.bin").stat().st_size == 20_000_000
    assert [one for one in cloud.book.items if one.path.endswith("long.bin")] == []


def test_what_ends_after_its_dialog_was_closed_is_announced(page: Page, cloud: SharingServer) -> None:
    enter_results(page)
    dialog = open_dialog(page, "c.csv")
    logged_in(page, cloud, dialog)
    dialog.get_by_label("Names").fill("sora")
    with held_request(page, asking("shares")):
        dialog.get_by_label("Names").press("Enter")
    reopened_by(notice(page, "results/c.csv is shared"))
    expect(dialog.locator("tbody tr")).to_contain_text(["Sora"])
    with held_request(page, asking("shares")):
        dialog.get_by_role("button", name="Withdraw").click()
    reopened_by(notice(page, "Withdrawn: <b>Sora</b> Aoki (sora)"))
    expect(dialog).to_contain_text("Only you.")
    close(page)


def test_a_conflict_after_its_dialog_was_closed_is_still_the_users_to_decide(page: Page, cloud: SharingServer) -> None:
    enter_results(page)
    cloud.put("hoshi", "Gozen/results/c.csv", b"of somebody else")
    dialog = open_dialog(page, "c.csv")
    logged_in(page, cloud, dialog)
    with held_request(page, asking("uploads")):
        dialog.get_by_role("button", name="Make link").click()
    reopened_by(notice(page, "Gozen/results/c.csv in Nextcloud is not overwritten"))
    expect(dialog.get_by_role("alert").locator("li")).to_have_text(["results/c.csv"])
    dialog.get_by_role("button", name="Replace it in Nextcloud").click()
    expect(dialog.locator(".gozen-new-link")).to_have_count(1)
    dialog.get_by_role("button", name="Withdraw").click()
    expect(dialog).to_contain_text("Only you.")
    close(page)


def test_links_that_were_made_are_shown_if_a_later_one_fails(page: Page, cloud: SharingServer) -> None:
    enter_results(page)
    link = {"path": "a.csv", "url": f"{cloud.url}/s/x", "password": "of-the-link", "qr": "data:image/svg+xml,"}
    answer = {"links": [link], "message": "the server refuses (1 of 2 links was not made)"}
    links = re.compile("/gozen/share/links")
    page.route(links, lambda route: route.fulfill(json=answer))
    dialog = open_dialog(page, "a.csv")
    logged_in(page, cloud, dialog)
    dialog.get_by_role("button", name="Make link").click()
    expect(dialog.get_by_role("alert")).to_contain_text("1 of 2 links was not made")
    expect(dialog.locator(".gozen-new-link code")).to_have_text("of-the-link")
    page.unroute(links)
    with held_request(page, links, answer):
        dialog.get_by_role("button", name="Make link").click()
    reopened_by(notice(page, "1 of 2 links was not made"))
    expect(dialog.locator(".gozen-new-link code")).to_have_text("of-the-link")
    expect(dialog.get_by_role("alert")).to_contain_text("1 of 2 links was not made")
    close(page)


def test_log_in_again_after_the_app_password_was_revoked_in_nextcloud(page: Page, cloud: SharingServer) -> None:
    enter_results(page)
    dialog = open_dialog(page, "a.csv")
    logged_in(page, cloud, dialog)
    close(page)
    cloud.person("hoshi").app_passwords.clear()
    dialog = open_dialog(page, "a.csv")
    expect(dialog.get_by_role("alert")).to_contain_text("it is wrong or was revoked")
    expect(dialog.get_by_label("Address")).to_have_value(cloud.url)
    logged_in(page, cloud, dialog)
    expect(dialog.get_by_label("Names")).to_be_enabled()
    close(page)


def test_a_japanese_lab_speaks_japanese(address: str, home: Path, browser: Browser) -> None:
    set_up(home, language="ja_JP")
    page = browser.new_page()
    page.goto(address.replace("/lab?", "/lab/workspaces/japanese?"))  # without the folder of the other page
    dialog = open_dialog(page, "lc.png", "Nextcloud で共有…")
    expect(dialog.locator(".jp-Dialog-header")).to_contain_text("lc.png を共有")
    expect(
        dialog.get_by_role("button", name="リンクを作成").or_(dialog.get_by_role("button", name="ログイン"))
    ).to_be_visible()
    close(page)
    announced_in_japanese(page)
    page.close()


def announced_in_japanese(page: Page) -> None:
    """Share a file, and close the dialog before the answer comes."""
    file = {"path": "lc.png", "cloud": "Gozen/lc.png", "shown": True, "known": True, "message": "", "shares": []}
    account = {"url": "https://cloud.example.org", "user": "hoshi"}
    page.route(asking("account"), lambda route: route.fulfill(json={"account": account, "url": ""}))
    page.route(asking("shares/seen"), lambda route: route.fulfill(json={"files": [file]}))
    dialog = open_dialog(page, "lc.png", "Nextcloud で共有…")
    dialog.get_by_role("textbox", name="名前").fill("sora")
    with held_request(page, asking("shares"), {}):
        dialog.get_by_role("textbox", name="名前").press("Enter")
    reopened_by(notice(page, "lc.png を共有しました"), "ダイアログを開く")
    expect(dialog.locator(".jp-Dialog-header")).to_contain_text("lc.png を共有")
