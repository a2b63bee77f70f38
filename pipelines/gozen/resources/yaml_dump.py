"""Write plain data as YAML text, always the same bytes for the same data."""

from __future__ import annotations

import re

import yaml

from gozen.resources.yaml_core_schema import BASED_INT, FLOAT


class _Dumper(yaml.SafeDumper):
    """Writes text that parsers of YAML 1.1 and 1.2 both read as text, and never writes an alias."""

    def ignore_aliases(self, data: object) -> bool:
        """Return True: a value that occurs twice is written twice."""
        return True


# PyYAML's resolvers know YAML 1.1; these add texts that only YAML 1.2 reads as numbers, so that they are quoted.
for _kind, _pattern in (("float", FLOAT), ("int", BASED_INT)):
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _whole, list("-+.0123456789"))


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if value.splitlines() != [value] and value:
        plain_lines = all(line == line.strip() and line.isprintable() for line in value.split("\n"))
        style = "|" if plain_lines and value[0] != "\n" else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _sequence(dumper: yaml.SafeDumper, value: list[object]) -> yaml.SequenceNode:
    on_one_line = not any(isinstance(item, dict | list) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=on_one_line or None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _sequence)


def dump(value: object) -> str:
    """Return plain data as one YAML document: keys in their order, the same bytes for the same data."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False)


def dump_line(value: object) -> str:
    """Return plain data in YAML's flow form on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=True
    )
    return text.removesuffix("\n").removesuffix("\n...")
