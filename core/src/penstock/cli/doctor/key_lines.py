"""The line of a TOML file that a key stands on, by a scan of its text: the standard parser tells values, not places.

The scan knows headers, keys, and strings and arrays of several lines, as far as to pass over them. The text is valid
TOML, since it was read before. What stands within an inline table has the line of the key that the table belongs to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from penstock.words.problems import PathParts

__all__ = ["line_of"]

_PART: Final = re.compile(r"""\s*(?:([A-Za-z0-9_-]+)|"((?:[^"\\]|\\.)*)"|'([^']*)')\s*""")
_OPENING: Final = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[\]{}]')


def line_of(text: str, path: PathParts) -> int | None:
    r"""The line, from 1, of the key or table at `path`, else of the nearest one above it; `None` if none is there.

    >>> line_of("[plugins]\nsinks = []\n[plugins.jsonl]\npath = '/'\n", ("plugins", "jsonl", "path"))
    4
    """
    best: tuple[int, int] | None = None
    for line, found in _keys(text):
        if found == path:
            return line
        shared = _shared(found, path)
        # An entry that leads past `path` names a table that is opened there and nowhere else.
        if shared and (shared == len(found) or shared == len(path)) and (best is None or shared > best[0]):
            best = (shared, line)
    return None if best is None else best[1]


def _shared(one: PathParts, other: PathParts) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _keys(text: str) -> Iterator[tuple[int, PathParts]]:
    """The lines with a header or a key, each with the whole path."""
    table: PathParts = ()
    arrays: dict[PathParts, int] = {}
    depth, until = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if until or depth:
            depth, until = _after(line, depth, until)
            continue
        stripped = line.strip()
        if stripped.startswith("["):
            double = stripped.startswith("[[")
            parts, _ = _dotted(stripped[2 if double else 1 :])
            table = _in_arrays(parts, arrays, new=double)
            yield number, table
            continue
        parts, rest = _dotted(stripped)
        if parts and rest.startswith("="):
            yield number, (*table, *parts)
            depth, until = _after(rest[1:], 0, "")


def _in_arrays(parts: tuple[str, ...], arrays: dict[PathParts, int], *, new: bool) -> PathParts:
    """The path of a header, with the places of the tables in arrays that it leads through."""
    path: PathParts = ()
    for at, part in enumerate(parts, 1):
        path = (*path, part)
        if new and at == len(parts):
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _dotted(text: str) -> tuple[tuple[str, ...], str]:
    """The parts of the dotted key that a text begins with, and what comes after it."""
    parts: list[str] = []
    while (found := _PART.match(text)) is not None:
        bare, quoted, literal = found.groups()
        parts.append(_unescaped(quoted) if quoted is not None else literal if bare is None else bare)
        text = text[found.end() :]
        if not text.startswith("."):
            break
        text = text[1:]
    return tuple(parts), text


def _unescaped(quoted: str) -> str:
    try:
        return str(json.loads(f'"{quoted}"', strict=False))
    except ValueError:  # an escape of TOML's own
        return quoted


def _after(line: str, depth: int, until: str) -> tuple[int, str]:
    """How many brackets, and which string, are open after a line."""
    at = 0
    while True:
        if until:
            end = line.find(until, at)
            if end < 0:
                return depth, until
            at, until = end + 3, ""
            continue
        found = _OPENING.search(line, at)
        if found is None:
            return depth, ""
        at, word = found.end(), found[0]
        if word in ('"""', "'''"):
            until = word
        elif word in ("[", "{"):
            depth += 1
        elif word in ("]", "}"):
            depth -= 1
