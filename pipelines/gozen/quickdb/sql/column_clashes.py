"""Handle column names that SQL would confuse: names that differ only in case, with dots, or duplicate.

DuckDB treats ``Gmag`` and ``gmag`` as one column. If a table has both, each gets a unique name in DuckDB, and the
result has the original names again.
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
    """Names of columns that differ only in case, and the name of each in DuckDB.

    Parameters
    ----------
    names
        The name in DuckDB, by the original name.
    """

    names: Mapping[str, str]

    @classmethod
    def of(cls, tables: Iterable[Sequence[str]]) -> Spelling:
        """Find column names that differ only in case; if one table has both, the name is replaced in all tables."""
        tables = list(tables)
        doubled = {
            small for columns in tables for small, times in Counter(map(str.lower, set(columns))).items() if times > 1
        }
        spelt = {name for columns in tables for name in columns if name.lower() in doubled}
        return cls({name: f"{name} {name.encode().hex()}" for name in spelt})

    def spell(self, tree: exp.Expr) -> None:
        """Replace the names of columns in a query by their names in DuckDB.

        Raises
        ------
        BadRequest
            A name in the query matches several columns without regard to case, but none exactly.
        """
        small = {name.lower() for name in self.names}
        for one in [found for found in tree.find_all(exp.Identifier) if found.name.lower() in small]:
            if not _names_a_column(one):
                continue
            if one.name not in self.names:
                spelt = " or ".join(sorted(name for name in self.names if name.lower() == one.name.lower()))
                raise BadRequest(
                    f"column {one.name!r} is ambiguous, because the names of several columns differ only in upper and "
                    f"lower case: write {spelt}"
                )
            one.replace(exp.to_identifier(self.names[one.name], quoted=True))

    def rows(self, source: QuerySource, ranges: NDArray[np.int64] | None) -> str:
        """Return the SQL that replaces a table in FROM."""
        rows = source.within(ranges)
        if not any(name in self.names for name in source.columns):
            return rows
        listed = ", ".join(quoted(self.names.get(name, name)) for name in source.columns)
        return f"{rows} AS t({listed})"

    def read(self, text: str) -> str:
        """Return a text from DuckDB with the original names."""
        for name, theirs in self.names.items():
            text = text.replace(quoted(theirs), name).replace(theirs, name)
        return text


def require_spelling(tree: exp.Expr) -> None:
    """Raise an error if a subquery has two columns whose names differ only in case.

    In the outer query the two would be one column.

    Raises
    ------
    BadRequest
        There is such a subquery; the message has both names.
    """
    for part in tree.find_all(exp.Subquery, exp.CTE):
        spelt: dict[str, str] = {}
        for name in part.this.named_selects if isinstance(part.this, exp.Query) else ():
            first = spelt.setdefault(name.lower(), name)
            if first != name:
                raise BadRequest(
                    f"{first!r} and {name!r} in {part.alias or 'a subquery'}: the two names differ only in case; "
                    "rename one of them with AS"
                )


def with_dotted_columns(tree: exp.Expr, tables: Mapping[str, Collection[str]]) -> None:
    """Treat ``a.b`` as one column name if a table has a column of this name and no table is named ``a``.

    Parameters
    ----------
    tree
        The query, which is changed in place.
    tables
        The columns of each table, by its name or alias in the query.
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
    """Return unique names: the second ``ra`` becomes ``ra_1``, as in DuckDB's subqueries."""
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
    """Return whether an identifier names a column or its alias, and not a table or a field of a value."""
    parent = one.parent
    if isinstance(parent, exp.Table | exp.PropertyEQ | exp.Dot | exp.CTE):
        return False
    if isinstance(parent, exp.TableAlias):
        return one.arg_key == "columns"
    return not (isinstance(parent, exp.Column) and one.arg_key in ("table", "db", "catalog"))
