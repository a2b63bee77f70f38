"""The README's picture: the top of a demo's report with a stack and the flare, as a small PNG.

``gozen demo`` and then ``python docs/images/report.py gozen-demo/report.html docs/images/report.png``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image, ImageColor
from playwright.sync_api import sync_playwright

from gozen.plots.style import DARK, LIGHT

CHROMIUM = "/usr/bin/chromium"
WIDTH, TOP, PAGE = 1000, 535, "#f3f4f6"
PARTS = ("#stacks figure", "#lightcurves figure")
COLOURS = 128
WHITE = (255, 255, 255)
ACCENTS = (
    *(PAGE, "#e3f3ea", "#0b6b3a", "#005a8f"),
    *(DARK.paper, DARK.matched, DARK.unmatched, DARK.warning, DARK.truth, LIGHT.matched, LIGHT.grid),
)


def shots(report: Path) -> list[Image.Image]:
    """Return the top of the page, and the first stack and light curve."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": TOP}, color_scheme="light")
        page.goto(report.absolute().as_uri())
        found = [page.screenshot(), *(page.locator(part).first.screenshot() for part in PARTS)]
        browser.close()
    return [Image.open(io.BytesIO(one)).convert("RGB") for one in found]


def palette_of(picture: Image.Image) -> Image.Image:
    """Return the colours that a picture needs most, and those few pixels that carry its meaning."""
    frequent = picture.quantize(COLOURS).getpalette() or []
    accents = [ImageColor.getrgb(one) for one in ACCENTS]
    dark = ImageColor.getrgb(DARK.paper)
    blends = [tuple((a + b) // 2 for a, b in zip(one, back, strict=True)) for one in accents for back in (dark, WHITE)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*frequent[: 3 * COLOURS], *(value for one in [*accents, *blends] for value in one[:3])])
    return palette


def main(report: str, picture: str) -> None:
    """Put the pieces below one another and write them with few colours."""
    parts = shots(Path(report))
    whole = Image.new("RGB", (WIDTH, sum(one.height + 14 for one in parts)), PAGE)
    place = 0
    for one in parts:
        whole.paste(one, ((WIDTH - one.width) // 2, place))
        place += one.height + 14
    few = whole.resize((WIDTH * 4 // 5, whole.height * 4 // 5), Image.Resampling.LANCZOS)
    few.quantize(palette=palette_of(few), dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
