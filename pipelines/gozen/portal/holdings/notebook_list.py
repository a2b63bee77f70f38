"""The notebooks that each user gets: their files, headings and first sentences, and who can run them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIRST = "light-curve.ipynb"
"""The notebook with which people begin."""
_SENTENCE = re.compile(r"(.+?[.?!。])(\s|$)", re.DOTALL)
_LITERAL = re.compile(r"\\([!-/:-@\[-`{-~])|(`+)(.+?)\2")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_STARS = re.compile(r"(\*{1,3})(?=[^\s*])(.+?)(?<=[^\s*])\1")
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])(.+?)(?<=[^\s_])\1(?!\w|\.\w)")
_KEPT = re.compile(r"\0(\d+)\0")


@dataclass(frozen=True)
class Notebook:
    """One notebook.

    Parameters
    ----------
    name
        Name of the file.
    title, sentence
        Its heading and its first sentence.
    release
        If the notebook reads only one release, the name of the release, from its metadata (``gozen``, ``release``);
        else empty.
    """

    name: str
    title: str
    sentence: str = ""
    release: str = ""


def notebooks(folder: Path | None) -> list[Notebook]:
    """Return the notebooks of a folder, `FIRST` before all others, which are sorted by title; empty if unreadable."""
    files = sorted(folder.glob("*.ipynb")) if folder is not None else []
    return sorted(map(_described, files), key=lambda one: (one.name != FIRST, one.title.lower()))


def of_releases(found: Iterable[Notebook], names: Set[str]) -> list[Notebook]:
    """Return the notebooks that run for a user who may read only releases; `names` are the releases of the archive."""
    return [one for one in found if one.release in names]


def _described(path: Path) -> Notebook:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lines = list(_first_text(content))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # A damaged notebook is still listed: it can be opened, and the lab says what is wrong with it.
        content, lines = {}, []
    title = next((line.lstrip("#").strip() for line in lines if line.startswith("#")), "")
    prose = " ".join(line.strip() for line in lines if not line.startswith("#")).strip()
    sentence = _SENTENCE.match(prose)
    first = _plain(sentence[1]) if sentence else ""
    return Notebook(path.name, _plain(title) or path.stem, first, _release(content))


def _release(content: dict[str, Any]) -> str:
    for name in ("metadata", "gozen"):
        content = found if isinstance(found := content.get(name), dict) else {}
    return str(content.get("release", ""))


def _first_text(content: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the first cell of text."""
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            yield from "".join(cell["source"]).splitlines()
            return


def _plain(markdown: str) -> str:
    """Return Markdown without its marks; underscores in names, code, and escaped characters stay as they are."""
    literal: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literal.append(found[1] or found[3])
        return f"\0{len(literal) - 1}\0"

    text = _LINK.sub(r"\1", _LITERAL.sub(keep, markdown.replace("\0", "")))
    for mark in (_STARS, _UNDERSCORES, _STARS, _UNDERSCORES):  # one inside the other
        text = mark.sub(r"\2", text)
    return _KEPT.sub(lambda found: literal[int(found[1])], text)
