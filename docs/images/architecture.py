"""The picture of the architecture page, as an SVG that is legible in light and dark.

``python docs/images/architecture.py docs/images/architecture.svg``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1000, 708
BOX_HEIGHT = 58
STYLE = """
svg { --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #6e7781; --box: #f3f5f8;
  --control: #8250df; --data: #0969da; --stored: #9a6700 }
@media (prefers-color-scheme: dark) {
  svg { --paper: #161b22; --ink: #e6edf3; --quiet: #a3adb8; --line: #8b949e; --box: #21262d;
    --control: #a98bf0; --data: #58a6ff; --stored: #d9a514 } }
text { font-family: system-ui, "DejaVu Sans", sans-serif; fill: var(--ink) }
.paper { fill: var(--paper) }
.plane { fill: none; stroke-width: 2; stroke-dasharray: 7 5 }
.group { fill: none; stroke-width: 1.2 }
.box { fill: var(--box); stroke-width: 1.6 }
.control { stroke: var(--control) } .data { stroke: var(--data) } .stored { stroke: var(--stored) }
.other { stroke: var(--line) }
.title { font-weight: 600; font-size: 15px } .plain { font-size: 12.5px; fill: var(--quiet) }
.name { font-weight: 700; font-size: 16px }
.arrow { stroke: var(--line); stroke-width: 1.8; fill: none; marker-end: url(#end) }
.said { font-size: 12.5px; fill: var(--quiet) }
#end path { fill: var(--line) }
"""


@dataclass(frozen=True)
class Box:
    """A package, or what a plane stores: place and width in pixels, what it is called, two lines of what it does."""

    x: int
    y: int
    width: int
    kind: str
    title: str
    lines: tuple[str, ...] = ()

    def svg(self) -> str:
        """Return its drawing."""
        height = BOX_HEIGHT + 16 * max(len(self.lines) - 1, 0)
        middle = self.x + self.width / 2
        drawn = (
            f'<rect class="box {self.kind}" x="{self.x}" y="{self.y}" width="{self.width}" height="{height}" rx="7"/>'
        )
        drawn += text(middle, self.y + 24, self.title, "title")
        return drawn + "".join(text(middle, self.y + 44 + 16 * n, one, "plain") for n, one in enumerate(self.lines))


BOXES = (
    Box(30, 62, 190, "other", "API server", ("Observation, Exposure,", "LightCurveJob, Job")),
    Box(262, 62, 160, "control", "process", ("kopf, queue, controller;", "reads the archive")),
    Box(448, 62, 130, "control", "index", ("known objects,", "facts of one")),
    Box(604, 62, 130, "control", "reconcile", ("pure: facts and", "time to a plan")),
    Box(790, 62, 180, "control", "observer", ("telescope and camera;", "makes Exposures")),
    Box(30, 282, 290, "data", "cli, workflow, watch", ("the command, its steps, a watched folder",)),
    Box(345, 282, 290, "data", "observing", ("plan of a recipe, raw data for its steps",)),
    Box(660, 282, 310, "data", "quickdb", ("your function or SQL on the tables",)),
    Box(45, 404, 112, "data", "frames", ("FITS in and out",)),
    Box(170, 404, 112, "data", "calibration", ("masters",)),
    Box(295, 404, 112, "data", "quality", ("gates",)),
    Box(420, 404, 112, "data", "photometry", ("stack, fluxes",)),
    Box(545, 404, 112, "data", "astrometry", ("WCS",)),
    Box(795, 404, 112, "data", "movers", ("what moves",)),
    Box(670, 404, 112, "data", "lightcurves", ("calibrated rows",)),
    Box(30, 528, 490, "stored", "archive", ("raw files, products, the commit of each sensor, the night's log",)),
    Box(580, 528, 390, "stored", "catalog", ("tables in HATS: files of a version, its manifest",)),
    Box(30, 618, 290, "data", "instrument, resources", ("the camera's profile; what may be asked",)),
    Box(345, 618, 290, "data", "settings, errors, version", ("what all modules use",)),
    Box(660, 618, 310, "data", "simulator, demo, plots, report", ("a known sky, pictures, a verdict",)),
)
ARROWS = (
    ("M220 99 H256", "", 0, 0),
    ("M422 99 H442", "", 0, 0),
    ("M578 99 H598", "", 0, 0),
    ("M669 136 V164 H170 V142", "api_server: a Job for each Exposure, its status", 250, 158),
    ("M880 136 V192 H120 V142", "claims an Observation, creates its Exposures", 250, 186),
    ("M70 136 V276", "pods of a Job run gozen reduce, gozen masters or gozen night append", 250, 222),
    ("M175 340 V366", "", 0, 0),
    ("M275 478 V522", "products first, then the commit", 285, 506),
    ("M520 557 H574", "append", 526, 548),
    ("M945 528 V346", "patches", 888, 362),
)


def text(x: float, y: float, words: str, kind: str, anchor: str = "middle") -> str:
    """Return a line of text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def plane(y: int, height: int, kind: str, words: str) -> str:
    """Return the frame of a plane with its name."""
    frame = f'<rect class="plane {kind}" x="12" y="{y}" width="976" height="{height}" rx="12"/>'
    return frame + text(90 if kind == "data" else 30, y + 30, words, "name", "start")


def picture() -> str:
    """Return the whole picture."""
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-label="Packages of the two planes, and what passes between them">',
        f"<style>{STYLE}</style>",
        '<marker id="end" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L10 5 L0 10 z"/></marker>',
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="14"/>',
        plane(14, 192, "control", "Control plane: operator/gozen_operator"),
        plane(232, 462, "data", "Data plane: pipelines/gozen, without Kubernetes"),
        '<rect class="group data" x="30" y="372" width="892" height="106" rx="9"/>',
        text(
            45,
            394,
            "reduction: one sensor, from its raw files to its commit; it calls these in this order",
            "said",
            "start",
        ),
        *(box.svg() for box in BOXES),
    ]
    for path, said, x, y in ARROWS:
        drawn.append(f'<path class="arrow" d="{path}"/>')
        drawn += [text(x, y, said, "said", "start")] if said else []
    return "\n".join([*drawn, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
