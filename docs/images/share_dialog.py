"""The picture of JupyterLab's dialog that shares files, as a small PNG.

At the top of the repository: ``PYTHONPATH=. python -P docs/images/share_dialog.py docs/images``. It runs
a JupyterLab and the Nextcloud of the tests, whose address in the picture is replaced by an example.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page
from tests.services.chromium import chromium
from tests.services.jupyter_lab import jupyter_lab, open_dialog, set_up
from tests.services.nextcloud_server.people import Person
from tests.services.nextcloud_server.sharing_server import SharingServer

SIZE = {"width": 1120, "height": 860}
COLOURS = 128
FILES = ("light-curve.ipynb", "light-curve.png", "light-curve.csv", "variable-stars.csv")
RENAME = """
(address) => {
  const texts = document.createTreeWalker(document.querySelector(".gozen-Share"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    texts.currentNode.data = texts.currentNode.data.replace(address, "https://cloud.example.org");
  }
}
"""


def share(page: Page) -> None:
    """Share a file with a user, and make a link."""
    dialog = open_dialog(page, "light-curve.png")
    dialog.get_by_label("Names").fill("sora")
    dialog.get_by_label("Names").press("Enter")
    dialog.locator("tbody tr").wait_for()
    dialog.get_by_label("Names").fill("")
    dialog.get_by_label("Label").fill("for the referee")
    dialog.get_by_label("Ends on").fill("2027-03-01")
    dialog.get_by_label("with a new password").check()
    dialog.get_by_role("button", name="Make link").click()
    dialog.locator(".gozen-new-link").wait_for()


def main(folder_of_pictures: str) -> None:
    """Take the picture."""
    persons = [Person("hoshi", "of-hoshi"), Person("sora", "of-sora", name="Sora Aoki")]
    with tempfile.TemporaryDirectory() as folder, SharingServer(Path(folder) / "server", persons) as cloud:
        home = Path(folder) / "home"
        (home / "work" / "results").mkdir(parents=True)
        for name in FILES:
            (home / "work" / name).write_text("{}")
        set_up(home)
        account = cloud.account()
        environment = {"GOZEN_SHARING__URL": account.url, "GOZEN_SHARING__USER": account.user}
        environment["GOZEN_NEXTCLOUD_PASSWORD"] = account.password
        with jupyter_lab(home / "work", home, environment) as address, chromium() as browser:
            page = browser.new_page(viewport=SIZE, color_scheme="light", locale="en-GB")  # type: ignore[arg-type]
            page.goto(address)
            share(page)
            page.evaluate(RENAME, account.url)
            shot = page.screenshot()
    target = Path(folder_of_pictures) / "share-dialog.png"
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
