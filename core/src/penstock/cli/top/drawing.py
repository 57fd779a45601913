"""The view drawn by rich, which is imported here alone, for a terminal of any width, height and encoding.

Names are others': they are shown as plain text, never as rich's markup, and in letters that the terminal has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from penstock.cli.top.view import Column, TableView, View
from penstock.words.printable import printable

__all__ = ["drawn", "most_rows", "shown_on"]

GAP: Final = 2
"""Cells between two columns."""


def shown_on(console: Console, text: str) -> str:
    """A text as this terminal can show it, in one line."""
    encoding = console.encoding or "ascii"
    return printable(text).encode(encoding, errors="backslashreplace").decode(encoding)


def most_rows(console: Console) -> int:
    """How many rows each of three tables may have, so that all are seen."""
    return max(2, (console.height - 3 - 3 * 3) // 3) if console.is_terminal else 1_000


def drawn(view: View, console: Console, note: str = "") -> Group:
    """What stands on the screen; `note` is a last line."""
    parts: list[Text | Table] = [Text(shown_on(console, line), no_wrap=True, overflow="crop") for line in view.head]
    for table in view.tables:
        parts += [Text(), _table(table, console)]
        if table.more:
            parts.append(Text(f"and {table.more:,} more"))
    if note:
        parts += [Text(), Text(shown_on(console, note), style="bold")]
    return Group(*parts)


def _table(view: TableView, console: Console) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    kept = _that_fit(view.columns, console.width)
    for column in kept:
        least = column.least if column.figures else None
        side: JustifyMethod = "right" if column.figures else "left"
        # Where all is too wide, rich takes from the columns that could be wrapped (no cell is); no figure is cut.
        wrapped = not column.figures
        table.add_column(Text(column.head), justify=side, no_wrap=not wrapped, overflow="crop", min_width=least)
    places = [at for at, column in enumerate(view.columns) if column in kept]
    for row in view.rows:
        table.add_row(*(Text(shown_on(console, row[at]), no_wrap=True, overflow="crop") for at in places))
    return table


def _that_fit(columns: Sequence[Column], width: int) -> list[Column]:
    kept: list[Column] = []
    for column in columns:
        width -= column.least + GAP
        if width < -GAP and kept:
            break
        kept.append(column)
    return kept
