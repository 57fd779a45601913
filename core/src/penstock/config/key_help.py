"""What a configuration class says of each of its keys, read from where its author has written it down.

Three ways are understood, and the first of these that a key has counts: the field's metadata,
`attrs.field(metadata={"help": "..."})`; a text in quotes below the field; and an entry in the docstring of the class,
which begins with the name in backticks, as in

    `prompt`  what is asked
    - `prompt`: what is asked

and goes on in lines that are indented further. What stands above the first entry is about the table as a whole.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from itertools import pairwise
from textwrap import dedent
from typing import Any, Final

import attrs

from penstock.config.structuring import key_of

__all__ = ["key_help", "table_help"]

_ENTRY: Final = re.compile(
    r"(?P<before> *)(?:- )?(?P<names>`[\w-]+`(?:,? (?:and )?`[\w-]+`)*)(?::\s+|\s{2,})(?P<help>\S.*)"
)
_NAME: Final = re.compile(r"`([\w-]+)`")


def key_help(cls: type[Any]) -> Mapping[str, str]:
    """The help of each key that has one, in a line.

    >>> @attrs.frozen
    ... class Config:
    ...     '''What can be set.
    ...
    ...     `workers`  how many tasks may
    ...                run at a time
    ...     `grace`    how long they may go on
    ...     '''
    ...     workers: int = 8
    ...     grace: float = 1.0
    >>> key_help(Config)
    {'workers': 'how many tasks may run at a time', 'grace': 'how long they may go on'}
    """
    entries: dict[str, str] = {}
    below: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if attrs.has(base):
            entries |= _entries(base)
            below |= _below_fields(base)
    found = {}
    for field in attrs.fields(cls):
        key = key_of(field)
        text = field.metadata.get("help") or below.get(field.name) or entries.get(key) or entries.get(field.name)
        if text:
            found[key] = " ".join(str(text).split())
    return found


def table_help(cls: type[Any]) -> str:
    """What the class says of its table as a whole, in a line; empty if nothing."""
    lines = (inspect.cleandoc(vars(cls).get("__doc__") or "")).splitlines()
    first = next((at for at, line in enumerate(lines) if _ENTRY.match(line)), len(lines))
    return " ".join(" ".join(lines[:first]).split())


def _entries(cls: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    depth = 0
    for line in inspect.cleandoc(vars(cls).get("__doc__") or "").splitlines():
        entry = _ENTRY.match(line)
        if entry is not None:
            names = _NAME.findall(entry["names"])
            depth = len(entry["before"])
            found |= dict.fromkeys(names, entry["help"])
        elif names and line.strip() and len(line) - len(line.lstrip()) > depth:
            found |= {name: f"{found[name]} {line}" for name in names}
        else:
            names = []
    return found


def _below_fields(cls: type[Any]) -> dict[str, str]:
    """The texts below fields, from the source; none where that is not to be had."""
    try:
        tree = ast.parse(dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    return {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
