"""The pictures of the first page and of a lab, from a running hub, as small PNGs.

In the folder of docs/tutorials/first-exposure.md, ``gozen hub --test-login hoshi``; then in another terminal
``python docs/images/platform.py http://localhost:8000 PASSWORD docs/images``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1200, "height": 860}
COLOURS = 128
PATIENCE_MS = 240_000


def log_in(page: Page, hub: str, password: str) -> None:
    """Log in, and wait for the first page."""
    page.goto(f"{hub}/hub/login")
    page.fill("#username_input", "hoshi")
    page.fill("#password_input", password)
    page.click("#login_submit")
    page.wait_for_url("**/services/portal/**")


def run_first_notebook(page: Page) -> None:
    """Open the first notebook, run all its cells, and show the light curve."""
    page.get_by_role("link", name="Open the first notebook").click()
    page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
    page.click("text=Run >> nth=0")
    page.click("text=Run All Cells")
    drawn = page.locator(".jp-OutputArea-output img")
    drawn.first.wait_for()
    page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
    drawn.first.scroll_into_view_if_needed()


def save(page: Page, target: Path) -> None:
    """Write what the page shows, with few colours."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def main(hub: str, password: str, folder: str) -> None:
    """Take both pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport=SIZE, color_scheme="light", locale="en-GB")  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        log_in(page, hub, password)
        save(page, Path(folder) / "platform-first-page.png")
        run_first_notebook(page)
        save(page, Path(folder) / "platform-lab.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
