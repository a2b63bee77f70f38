"""Column names that SQL would confuse: different case only, dots, duplicates.

DuckDB takes ``Gmag`` and ``gmag`` for one column. Where a table has both, each gets a name of its own on the way to
DuckDB, and what comes back has the names as they are spelt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from gozen.errors import BadRequest
from gozen.quickdb.sql.query_sources import QuerySource, quoted


@dataclass(frozen=True)
class Spelling:
    """Names that differ in case only, and what DuckDB has for each.

    Parameters
    ----------
    names
        DuckDB's name by the one as it is spelt.
    """

    names: Mapping[str, str]

    @classmethod
    def of(cls, tables: Iterable[Sequence[str]]) -> Spelling:
        """Find them among the columns of tables; a name with two spellings in one table counts in all."""
        tables = list(tables)
        doubled = {
            small for columns in tables for small, times in Counter(map(str.lower, set(columns))).items() if times > 1
        }
        spelt = {name for columns in tables for name in columns if name.lower() in doubled}
        return cls({name: f"{name} {name.encode().hex()}" for name in spelt})

    def spell(self, tree: exp.Expr) -> None:
        """Put DuckDB's names into a query.

        Raises
        ------
        BadRequest
            A name is spelt as none of them.
        """
        small = {name.lower() for name in self.names}
        for one in [found for found in tree.find_all(exp.Identifier) if found.name.lower() in small]:
            if not _names_a_column(one):
                continue
            if one.name not in self.names:
                spelt = " or ".join(sorted(name for name in self.names if name.lower() == one.name.lower()))
                raise BadRequest(f"column {one.name!r} may be {spelt}: write it as it is spelt")
            one.replace(exp.to_identifier(self.names[one.name], quoted=True))

    def rows(self, source: QuerySource, ranges: NDArray[np.int64] | None) -> str:
        """Return what stands in FROM for a table."""
        rows = source.within(ranges)
        if not any(name in self.names for name in source.columns):
            return rows
        listed = ", ".join(quoted(self.names.get(name, name)) for name in source.columns)
        return f"{rows} AS t({listed})"

    def read(self, text: str) -> str:
        """Return a text of DuckDB's with the names as they are spelt."""
        for name, theirs in self.names.items():
            text = text.replace(quoted(theirs), name).replace(theirs, name)
        return text


def require_spelling(tree: exp.Expr) -> None:
    """Refuse a part of a query that gives two columns whose names differ in case only: outside they would be one.

    Raises
    ------
    BadRequest
        There is such a part; the message names both.
    """
    for part in tree.find_all(exp.Subquery, exp.CTE):
        spelt: dict[str, str] = {}
        for name in part.this.named_selects if isinstance(part.this, exp.Query) else ():
            first = spelt.setdefault(name.lower(), name)
            if first != name:
                raise BadRequest(
                    f"{first!r} and {name!r} in {part.alias or 'a subquery'}: give one another name with AS"
                )


def with_dotted_columns(tree: exp.Expr, tables: Mapping[str, Collection[str]]) -> None:
    """Take ``a.b`` for the column of this name where a table has one, and no table is called ``a``.

    Parameters
    ----------
    tree
        A query, which is changed.
    tables
        Columns by the table's name in the query.
    """
    known = {alias.lower(): {name for name in columns if "." in name} for alias, columns in tables.items()}
    if not any(known.values()):
        return
    for column in [one for one in tree.find_all(exp.Column) if one.table]:
        parts = [part.name for part in column.parts]
        alias, rest = parts[0].lower(), ".".join(parts[1:])
        if alias in known and rest in known[alias]:
            column.replace(exp.column(rest, table=parts[0], quoted=True))
        elif alias not in known and any(".".join(parts) in names for names in known.values()):
            column.replace(exp.column(".".join(parts), quoted=True))


def distinct(names: Sequence[str]) -> list[str]:
    """Return names with no two alike: the second ``ra`` is ``ra_1``, as DuckDB has it in a subquery."""
    taken = set(names)
    found: list[str] = []
    for name in names:
        own, number = name, 0
        while own in found or (number and own in taken):
            number += 1
            own = f"{name}_{number}"
        found.append(own)
    return found


def _names_a_column(one: exp.Identifier) -> bool:
    """Tell whether an identifier is a column's or an alias of one: not a table's, nor a field's of a value."""
    parent = one.parent
    if isinstance(parent, exp.Table | exp.PropertyEQ | exp.Dot | exp.CTE):
        return False
    if isinstance(parent, exp.TableAlias):
        return one.arg_key == "columns"
    return not (isinstance(parent, exp.Column) and one.arg_key in ("table", "db", "catalog"))
