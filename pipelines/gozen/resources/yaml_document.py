"""Parse strict YAML 1.2 into plain data with line numbers, for any kind of file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from gozen.errors import BadRequest
from gozen.resources.yaml_core_schema import scalar

Path = tuple[str | int, ...]
"""Path from the root of a document to a value: keys and indices."""

DEEPEST = 32
"""Largest number of nested levels; a resource needs seven."""


@dataclass(frozen=True)
class Document:
    """Plain data and their line numbers in the file.

    Parameters
    ----------
    value
        Mappings with text keys, lists, text, numbers, booleans and None.
    source
        Name of the file, for messages.
    lines
        Line of each value (of its key, in a mapping), counted from 1.
    """

    value: object
    source: str
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Return the line of a value, or of the innermost value around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def refuse(self, path: Path, problem: str) -> BadRequest:
        """Return an error that names file and line of a value."""
        return refusal(self.source, self.line(path), problem)


def refusal(source: str, line: int, problem: str) -> BadRequest:
    """Return an error that names file and line."""
    return BadRequest(f"{source} line {line}: {problem}")


def parse(text: str, source: str) -> list[Document]:
    """Return the documents of a YAML text; empty ones are left out.

    Parameters
    ----------
    text
        Any number of documents between ``---`` lines.
    source
        Name of the file, for messages.

    Raises
    ------
    BadRequest
        The text is not valid YAML, has a key twice, or uses anchors or tags, which no resource needs.
    """
    reader = _Reader(source)
    content = text.removeprefix("\ufeff")
    try:
        for event in yaml.parse(content, Loader=yaml.SafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"the text is not valid YAML: {error.problem or error.context}{_advice(error)}"
        raise refusal(source, mark.line + 1 if mark else 1, problem) from error
    except yaml.reader.ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        character = f"U+{ord(content[error.position]):04X}"
        raise refusal(source, line, f"the character {character} is not allowed in YAML; remove it") from error
    except (ValueError, OverflowError) as error:  # pyyaml lets these through for an escape beyond U+10FFFF
        raise refusal(source, reader.line, "the text is not valid YAML: a \\U escape is beyond U+10FFFF") from error
    return [document for document in reader.documents if document.value is not None]


def _advice(error: yaml.MarkedYAMLError) -> str:
    if "mapping values are not allowed" in str(error.problem):
        return "; put text that contains ': ' in quotes"
    if "'\\t'" in str(error.problem):
        return "; indent with spaces, not tabs"
    return ""


@dataclass
class _Open:
    """A mapping or list that has started but not ended."""

    value: dict[str, object] | list[object]
    path: Path
    key: str | None = None


class _Reader:
    """Builds documents from parse events, without recursion: deep nesting cannot overflow the stack."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.documents: list[Document] = []
        self.line = 1
        self._stack: list[_Open] = []
        self._lines: dict[Path, int] = {}
        self._root: object = None

    def take(self, event: yaml.Event) -> None:
        """Process one parse event."""
        assert event.start_mark is not None
        self.line = line = event.start_mark.line + 1
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise refusal(
                self.source, line, f"the anchor or alias {event.anchor!r} is not allowed; write the value in full"
            )
        match event:
            case yaml.DocumentStartEvent():
                self._lines, self._root = {}, None
            case yaml.DocumentEndEvent():
                self.documents.append(Document(self._root, self.source, self._lines))
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.CollectionStartEvent():
                self._open(event, line)
            case yaml.CollectionEndEvent():
                self._stack.pop()

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        parent = self._stack[-1] if self._stack else None
        if parent and isinstance(parent.value, dict) and parent.key is None:
            self._key(parent, event.value, line)
            return
        self._refuse_tag(event.tag, line)
        text_wanted = not event.implicit[0] or event.tag == "tag:yaml.org,2002:str"
        self._add(event.value if text_wanted else scalar(event.value), line)

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self._refuse_tag(event.tag, line)
        if len(self._stack) == DEEPEST:
            raise refusal(self.source, line, f"the values are nested more than {DEEPEST} levels deep; use fewer levels")
        parent = self._stack[-1] if self._stack else None
        if parent and isinstance(parent.value, dict) and parent.key is None:
            raise refusal(self.source, line, "a key must be text, not a mapping or list")
        value: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._add(value, line)
        self._stack.append(_Open(value, path))

    def _key(self, parent: _Open, key: str, line: int) -> None:
        path = (*parent.path, key)
        if path in self._lines:
            raise refusal(self.source, line, f"{key!r} is given twice, first on line {self._lines[path]}; remove one")
        self._lines[path] = line
        parent.key = key

    def _add(self, value: object, line: int) -> Path:
        if not self._stack:
            self._root = value
            self._lines[()] = line
            return ()
        parent = self._stack[-1]
        if isinstance(parent.value, list):
            path = (*parent.path, len(parent.value))
            parent.value.append(value)
            self._lines[path] = line
        else:
            assert parent.key is not None
            path = (*parent.path, parent.key)
            parent.value[parent.key] = value
            parent.key = None
        return path

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise refusal(self.source, line, f"the tag {tag!r} is not allowed; leave it out")
