"""Docs, help texts, messages and docstrings contain no idiom that readers of other languages have to look up.

The glossary names each idiom and what to write instead. It was collected from sentences that readers of the docs
did not understand at once. It is applied to the prose of all English pages, to the texts of the chart, and to every
text of three words or more in the code: messages of errors and logs, help texts, descriptions of settings, resources
and columns, docstrings. Not covered: code in pages and docstrings, names in backticks, comments in Python, Japanese
pages.
"""

from __future__ import annotations

import ast
import bisect
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "charts/README.md")
CHART = ("values.yaml", "values.schema.json", "templates/NOTES.txt", "files/dashboard.json")
SOURCES = (ROOT / "pipelines", ROOT / "operator")
LEAST_WORDS = 3
"""Shorter literals of the code are names, units and keywords."""


@dataclass(frozen=True)
class Idiom:
    """A pattern that must not occur, what to write instead, and a text that contains it."""

    pattern: str
    instead: str
    example: str


GLOSSARY = [
    # nouns and adjectives
    Idiom(r"far (?:archive|store|storage|data|side|end|folder|bucket)s?", "remote", "rows of a far archive"),
    Idiom(r"(?:from|of) elsewhere|(?:is|are|lies?|kept|runs?) elsewhere", "remote; outside ...", "it is elsewhere"),
    Idiom(r"(?:run|runs|ran|keep|keeps|kept|stored|worked|stands?) apart", "isolated, separate", "it runs apart"),
    Idiom(r"at home", "local; in its own process", "columns at home"),
    Idiom(r"(?:of|is|are) (?:ours|yours|theirs)|what is ours", "name the owner", "a layer of ours"),
    Idiom(
        r"of (?:its|our|their|your) own(?= (?:and|or|in|of|on|with|as|by|for|which|if)\b|[^\w ]|$| ?‹)",
        "its own ...; separate",
        "a process of its own",
    ),
    Idiom(r"(?:no|the|enough|more|less|out of|takes?) room\b(?! temperature)|room,? \S+ [MG]B", "space", "no room"),
    Idiom(r"and its like|and the like|suchlike", "name the others", "`gozen apply` and its like"),
    Idiom(r"by hand of", "by", "by hand of the user"),
    Idiom(r"for want of", "because there is no ...", "for want of memory"),
    Idiom(r"slips? of the pen|fetters?|dribbl\w+|perish\w*", "the technical term", "a slip of the pen"),
    # "is no X"
    Idiom(
        r"(?<!there )(?<!therefore )\b(?:is|are|was|were) no(?! longer| more| less| later| earlier)",
        "is not a (valid) ...",
        "'x' is no date",
    ),
    Idiom(r"(?<!there )(?:is|are|was|were) (?-i:none)(?! of)", "unknown ...; invalid ...", "engine 'x' is none"),
    Idiom(r"of no (?:kind|bytes|use|consequence)", "without ...; useless", "a message of no kind"),
    Idiom(r"\b(?:has|have|needs?|holds?) (?:it|them) no more|no more than one", "no longer; at most", "has it no more"),
    # verbs
    Idiom(r"looks? after", "manages, checks", "it looks after Exposures"),
    Idiom(r"look(?:s|ed|ing)? at", "check, inspect, read, reconcile", "a resource is looked at"),
    Idiom(r"\b(?:a|one|the|each|next|oldest|for a) look\b", "a check, a reconcile", "time of one look"),
    Idiom(r"looks? that (?:failed|has|have)|look has not", "reconciles", "looks that failed"),
    Idiom(r"\blooks? whether", "check whether", "look whether it is ready"),
    Idiom(r"made of", "computed from, consists of", "a column made of two"),
    Idiom(r"\bstands? (?:in|on|under|there|here|where|for a|at|before|behind|with)\b", "is in", "stands in a table"),
    Idiom(r"(?:may|can|must) not stand", "is not allowed", "it may not stand in a lambda"),
    Idiom(r"\blies? (?:in|at|on|within|beside|under|there)\b", "is in, is at", "it lies in a folder"),
    Idiom(
        r"\b(?:it|files?|rows|what|which|data|Job|that|\}) stays?\b(?! \d)(?! \w*(?:able|ed)\b)",
        "is kept",
        "the Job stays",
    ),
    Idiom(r"stays? where", "remain where", "files stay where they are"),
    Idiom(
        r"\b(?:it|Job|file|data|resource|object)s? (?:goes|go) (?:with|after|away)", "is deleted", "a Job goes after"
    ),
    Idiom(r"\bgoes (?:into|in|to|first|on|through|by|with)|may go\b", "is written to, continues", "data goes into it"),
    Idiom(r"(?:is|are|was|were|has|have) gone|gone already", "deleted, missing, no longer exists", "the Job is gone"),
    Idiom(r"\bhangs? on", "depends on", "order that hangs on hashes"),
    Idiom(r"takes? (?:it|them|this|that) over|takes? back|taken back", "adopt; cancel, undo", "takes it over"),
    Idiom(r"(?:are|is|be|was|been|not) told\b", "notified", "it is told"),
    Idiom(r"\b(?:hears?|heard) (?:of|from)|\bspeaks? (?:to|with)", "receives; connects to", "it hears of events"),
    Idiom(r"(?:it|this|that|script|test|command|server) wants", "needs", "it wants to be root"),
    Idiom(r"come(?:s)? again|came again", "recurs, is created again", "names that come again"),
    Idiom(r"comes? (?:of|in two)", "is caused by; occurs in", "what comes of it"),
    Idiom(r"\bput (?:back|right|aside|to rights)", "set back, corrected, moved", "clocks were put back"),
    Idiom(r"\bmend(?:s|ed|ing)?\b", "correct, repair", "a correction mends it"),
    Idiom(r"serves? for|to serve\b(?! \w*s3)|knows? of", "is used; knows", "stars that it knows of"),
    Idiom(r"\bask(?:s|ed)? (?:it|them) things|asked of the", "query; sent to", "names are asked of the pods"),
    Idiom(r"rests? on", "is computed from, is based on", "stars that it rests on"),
    Idiom(r"held back|holds? back", "postponed, suspended", "work is held back"),
    Idiom(r"turns? (?:against|of up to)|without a turn|(?:a|the) turn of", "rotation", "a turn of 3 degrees"),
    # adverbs, prepositions, conjunctions
    Idiom(r"(?:null|none|empty) where|where there (?:is|are) (?:none|no)", "if", "null where it is unknown"),
    Idiom(r"as (?:the|a|its) (?:\w+ ){1,3}has it", "as in ...", "as the raw header has it"),
    Idiom(r"to the letter|time is up|time .{0,30} is up(?! to)", "unchanged; has passed", "kept to the letter"),
    Idiom(r"somebody else|someone else's?", "another owner", "an Exposure of somebody else"),
    Idiom(r"\banew\b", "again, newly", "it is mapped anew"),
    Idiom(r"\bbesides?\b", "next to, in addition to, except", "the truth beside it"),
    Idiom(r"so that (?:nothing|nobody|no one)", "therefore ... nothing", "so that nothing is lost"),
    Idiom(r"\bbut for\b|\bsave for\b", "except for", "all but for one"),
    Idiom(r"\bfor ever\b|\bfor good\b", "without limit, permanently", "it blocks for ever"),
    Idiom(r"\b(?:under way)\b", "in progress", "tasks under way"),
    Idiom(r"\b(?:at work)\b", "working, running", "a process at work"),
    Idiom(r"\ball the same\b|\bnone the less\b|\bin vain\b", "nevertheless; without result", "it ends all the same"),
    Idiom(
        r"\b(?:now and then|twice over|times over|over and over|to and fro)\b", "periodically; twice", "now and then"
    ),
    Idiom(r"word for word|as it stands|as they stand|as matters stand", "unchanged, literally", "copied as it stands"),
    Idiom(r"\bin one go\b|\bat one go\b|\bin one breath\b", "in one step, in one request", "copied in one go"),
    Idiom(r"\bthe other way round\b", "the reverse", "never the other way round"),
    Idiom(r"\b(?:here|there|where)(?:of|in|upon|with|by)\b|\bhence\b|\bthus\b|\blest\b", "of it; therefore", "thereof"),
    Idiom(r"\b(?:whoever|whomever|whosoever|whatsoever)\b", "name the subject", "whoever owns it"),
    Idiom(r"\bwhat (?:cannot|can|could|may|might|must|is|was|has) [\w ]{2,40} is\b", "a noun", "what is left is kept"),
    Idiom(
        r"\bwho (?:reads|writes|asks|wants|comes|must|needs) [\w ]{2,30}, (?:reads|gets|finds)",
        "a noun",
        "who reads it, finds x",
    ),
    Idiom(r"\bfrom the first look\b|\bat first glance\b|\bat a glance\b", "immediately; in one view", "at a glance"),
    Idiom(r"\bought to\b|\bshall\b|\bneedn't\b|\bmust needs\b", "must, should", "it ought to end"),
]

ORDINARY = [
    "There is no such file. A missing file is no longer an error. There are no more than two.",
    "Look up a star. A look-up reads one row group. What the file looks like.",
    "Ranges at most half a megabyte apart are fetched together. The operator is a process.",
    "It stays usable, readable and queued. A reference catalogue should go deeper.",
    "Kubernetes is built from its Go modules. There is no master in the archive; there is none.",
]
"""Sentences that no pattern may find."""

ALLOWED = {}
"""Hits that are right: the start of the file's path, the words, and why."""


@dataclass(frozen=True)
class Text:
    """A piece of prose with single spaces, and the line of each of its words."""

    where: str
    words: str
    starts: tuple[int, ...]
    lines: tuple[int, ...]

    def line(self, position: int) -> int:
        """Return the line in the file of a position in the words."""
        return self.lines[bisect.bisect_right(self.starts, position) - 1]


def text(where: str, prose: str, first_line: int = 1) -> Text:
    """Collapse white space, so that a pattern also finds words that a line break divides."""
    words, starts, lines, at = [], [], [], 0
    line, last = first_line, 0
    for found in re.finditer(r"\S+", prose):
        line += prose.count("\n", last, found.start())
        last = found.start()
        words.append(found.group())
        starts.append(at)
        lines.append(line)
        at += len(found.group()) + 1
    return Text(where, " ".join(words), tuple(starts), tuple(lines))


def blank(found: re.Match[str]) -> str:
    """Replace code by a placeholder that keeps the lines."""
    return "‹›" + "\n" * found.group().count("\n")


_FENCE = re.compile(r"^([ ]*)(```+|~~~+).*?^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<=\])\([^)\s]*\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_DOCTEST = re.compile(r"^[ ]*(?:>>>|\.\.\.).*$", re.MULTILINE)


def pages() -> Iterator[Text]:
    """Return the prose of all English pages."""
    paths = [path for path in (ROOT / "docs").rglob("*.md") if "ja" not in path.parts]
    for path in sorted([*paths, *(ROOT / name for name in TOP_PAGES)]):
        prose = path.read_text(encoding="utf-8")
        for pattern in (_FENCE, _COMMENT, _CODE, _LINK):
            prose = pattern.sub(blank, prose)
        yield text(path.relative_to(ROOT).as_posix(), prose)


def chart() -> Iterator[Text]:
    """Return the texts of the chart that people read: comments, descriptions, titles and notes."""
    for name in CHART:
        path = ROOT / "charts" / "gozen" / name
        prose = path.read_text(encoding="utf-8").replace("#", " ")
        yield text(path.relative_to(ROOT).as_posix(), _CODE.sub(blank, prose))


@functools.cache
def literals() -> tuple[Text, ...]:
    """Return the texts in the code: messages, help, descriptions and docstrings."""
    return tuple(_literals())


def _literals() -> Iterator[Text]:
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            for line, literal in literals_of(ast.parse(path.read_text(encoding="utf-8"))):
                prose = _CODE.sub(blank, _DOCTEST.sub(blank, literal))
                if len(prose.split()) >= LEAST_WORDS:
                    yield text(where, prose, line)


def literals_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find the string literals of a module; a value that is inserted into one counts as braces."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, parts))
            yield from (one for part in node.values if not isinstance(part, ast.Constant) for one in literals_of(part))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        else:
            yield from literals_of(node)


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the glossary; case does not matter."""
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE)


_ANY = compiled("|".join(f"(?:{idiom.pattern})" for idiom in GLOSSARY))


def hits(one: Text) -> Iterator[str]:
    """Find the idioms of a text."""
    if not _ANY.search(one.words):  # most texts have none, and one pattern is faster than all of them in turn
        return
    for idiom in GLOSSARY:
        for found in compiled(idiom.pattern).finditer(one.words):
            if not allowed(one.where, found.group()):
                around = one.words[max(0, found.start() - 50) : found.end() + 30]
                yield f'{one.where}:{one.line(found.start())}: "{found.group()}" -> {idiom.instead} | {around}'


def allowed(where: str, words: str) -> bool:
    """Tell whether a hit is one of the exceptions."""
    return any(where.startswith(start) and words == said for start, said in ALLOWED)


@pytest.mark.parametrize("idiom", GLOSSARY, ids=lambda one: one.example)
def test_each_pattern_finds_its_example(idiom: Idiom) -> None:
    assert compiled(idiom.pattern).search(idiom.example)


@pytest.mark.parametrize("sentence", ORDINARY)
def test_ordinary_sentences_pass(sentence: str) -> None:
    assert list(hits(text("", sentence))) == []


def test_words_on_two_lines_are_found_with_their_line() -> None:
    found = list(hits(text("page.md", "One line.\nA date that is\n    no date.")))
    assert [one.partition(" -> ")[0] for one in found] == ['page.md:2: "is no"']


def test_code_is_not_prose() -> None:
    tree = ast.parse('raise ValueError(f"{x} is no {kind}: `what is ours` is code")')
    [(line, found)] = [one for one in literals_of(tree) if " " in one[1]]
    assert (line, found) == (1, "{} is no {}: `what is ours` is code")
    assert [one.split('"')[1] for one in hits(text("", _CODE.sub(blank, found)))] == ["is no"]


def test_pages_have_none() -> None:
    found = [hit for page in pages() for hit in hits(page)]
    assert not found, "\n".join(found)


def test_the_chart_has_none() -> None:
    found = [hit for one in chart() for hit in hits(one)]
    assert not found, "\n".join(found)


def test_the_code_has_none() -> None:
    found = [hit for literal in literals() for hit in hits(literal)]
    assert not found, "\n".join(found)


def test_each_exception_is_needed() -> None:
    for start, words in ALLOWED:
        files = [one for one in [*pages(), *literals()] if one.where.startswith(start)]
        assert any(words in one.words for one in files), (start, words)
