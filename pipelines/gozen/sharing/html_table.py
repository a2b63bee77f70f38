"""Small tables in notebooks. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

_LEFT = 'style="text-align:left"'
"""Style of cells with text; notebooks align all cells to the right by default."""


@dataclass
class Table:
    """A table with a caption; all texts are escaped."""

    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def html(self, total: int | None = None) -> str:
        """Return the table as HTML.

        Parameters
        ----------
        total
            Number of all rows, if not all of them are in the table.
        """
        head = "".join(f'<th scope="col" {_LEFT}>{escape(one)}</th>' for one in self.columns)
        body = "".join(f"<tr>{''.join(f'<td {_LEFT}>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        more = f"<p>... and {total - len(self.rows)} more</p>" if total and total > len(self.rows) else ""
        return (
            f"<table><caption>{escape(self.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"{more}"
        )


def size_text(size: float) -> str:
    """Return a number of bytes with a unit, such as ``2.1 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
