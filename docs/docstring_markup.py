"""Docstrings as reStructuredText: ours are plain text with two habits, plain to a reader of the source.

Names with what they mean stand below each other in columns; code stands indented. Both are put into markup here. Single
backticks mean code, by `default_role` in `conf.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

ENTRY = re.compile(r"(\s*)(`[^`]+`)(\s+)(\S.*)")
COLUMN = re.compile(r"`[^`]+`\s{2,}\S")


def in_markup(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring, dedented, with columns as lists and indented code as literal blocks."""
    made: list[str] = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        if blank:
            made += paragraph
        elif _in_columns(paragraph):
            made += [*_as_list(paragraph), ""]
        elif all(line.startswith("    ") for line in paragraph) and not _is_an_example(paragraph):
            made += ["::", "", *paragraph, ""]
        else:
            made += paragraph
    return made


def _is_an_example(paragraph: Sequence[str]) -> bool:
    """Whether a paragraph is an example, which has a markup of its own."""
    return paragraph[0].lstrip().startswith(">>>")


def _in_columns(paragraph: Sequence[str]) -> bool:
    first = paragraph[0]
    margin = len(first) - len(first.lstrip())
    return first.lstrip().startswith("`") and any(COLUMN.match(line[margin:]) for line in paragraph)


def _as_list(paragraph: Sequence[str]) -> Iterator[str]:
    first = paragraph[0]
    margin = len(first) - len(first.lstrip())
    for line in paragraph:
        entry = ENTRY.fullmatch(line)
        if entry is not None and len(entry[1]) <= margin:
            yield f"- {entry[2]}: {entry[4]}"
        else:
            yield f"  {line.strip()}"
