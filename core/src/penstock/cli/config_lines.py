"""What can be written into a plugin's table, in lines for people: each key with type, default and help, and what stands
below it where it holds records.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import attrs

from penstock.config.key_help import key_help
from penstock.config.structuring import field_types, key_of
from penstock.config.words import is_list_type, is_mapping_type, type_in_words, value_in_words
from penstock.words.printable import printable

__all__ = ["columns", "config_lines"]

_WIDTH: Final = 100


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows as lines, each cell as wide as the widest of its column."""
    shown = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def config_lines(cls: type[Any] | None) -> Iterator[str]:
    """The keys of a configuration class, those of records inside it too, under the path that leads to them."""
    rows = [] if cls is None else list(_rows(cls, "", ()))
    if not rows:
        yield "  none" if cls is None else "  no keys"
        return
    head, *lines = columns([("  KEY", "TYPE", "DEFAULT"), *((f"  {key}", *words) for key, *words, _ in rows)])
    yield head
    for line, (*_, text) in zip(lines, rows, strict=True):
        yield line
        yield from textwrap.wrap(printable(text), _WIDTH, initial_indent="      ", subsequent_indent="      ")


def _rows(cls: type[Any], above: str, around: tuple[type[Any], ...]) -> Iterator[tuple[str, str, str, str]]:
    """(Key, type, default, help) of each key; `around` are the classes in which this one stands."""
    types, help_of = field_types(cls), key_help(cls)
    for field in attrs.fields(cls):
        if not field.init:
            continue
        key = key_of(field)
        path = f"{above}{key}"
        yield path, type_in_words(types[field.name]), _default_in_words(field), help_of.get(key, "")
        for steps, inner in _records_in(types[field.name]):
            if inner not in (*around, cls):
                yield from _rows(inner, f"{path}{steps}.", (*around, cls))


def _records_in(wanted: Any) -> Iterator[tuple[str, type[Any]]]:
    """The records that a value of this type may hold, with the steps from the value to them."""
    origin, args = get_origin(wanted), get_args(wanted)
    if isinstance(wanted, type) and attrs.has(wanted):
        yield "", wanted
    elif origin is Annotated:
        yield from _records_in(args[0])
    elif origin in (Union, UnionType):
        for each in args:
            if each is not NoneType:
                yield from _records_in(each)
    elif args and is_mapping_type(origin):
        yield from ((f".NAME{steps}", inner) for steps, inner in _records_in(args[1]))
    elif args and is_list_type(origin):
        for each in dict.fromkeys(args):
            yield from ((f"[]{steps}", inner) for steps, inner in _records_in(each))


def _default_in_words(field: attrs.Attribute[Any]) -> str:
    default: Any = field.default
    if default is attrs.NOTHING:
        return "(required)"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        if default.takes_self:
            return "(depends on the other keys)"
        default = default.factory()
    if isinstance(default, list | tuple | set | frozenset):
        return f"[{', '.join(map(value_in_words, default))}]"
    if isinstance(default, dict):
        return "{}" if not default else "(a table)"
    return "(none)" if default is None else value_in_words(default)
