"""Configuration in words: what a type wants, what a value is, where in a file it stands, and what was
probably meant.

Every message about a configuration is put together from these, so that they read alike wherever they come
from.
"""

from __future__ import annotations

import difflib
import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs

__all__ = ["dotted", "suggestion", "type_in_words", "value_in_words"]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST: Final = 60
_PLAIN: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    datetime: "a date with a time",
    date: "a date",
    time: "a time of day",
    NoneType: "nothing",
    object: "anything",
    Any: "anything",
}


def type_in_words(wanted: Any) -> str:
    """What a value of this type is, for people who write TOML.

    >>> type_in_words(list[int]), type_in_words(float | None), type_in_words(Literal["drop", "wait"])
    ('a list (each: a whole number)', 'a number', '"drop" or "wait"')
    """
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted in _PLAIN:
        return _PLAIN[wanted]
    if origin is Annotated:
        return type_in_words(args[0])
    if origin is Literal:
        return " or ".join(map(value_in_words, args))
    if origin in (Union, UnionType):
        return " or ".join(type_in_words(arg) for arg in args if arg is not NoneType)
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return f"a list of exactly {len(args)} ({', '.join(map(type_in_words, args))})"
    if is_mapping_type(origin or wanted):
        return f"a table (each: {type_in_words(args[1])})" if args else "a table"
    if is_list_type(origin or wanted):
        return f"a list (each: {type_in_words(args[0])})" if args else "a list"
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return " or ".join(value_in_words(member.value) for member in wanted)
    if isinstance(wanted, type) and attrs.has(wanted):
        return "a table"
    return str(getattr(wanted, "__name__", wanted))


def is_mapping_type(origin: Any) -> bool:
    """Whether a TOML table stands for this type."""
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_list_type(origin: Any) -> bool:
    """Whether a TOML array stands for this type."""
    return origin in (list, tuple, set, frozenset) or (
        isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str | bytes)
    )


def value_in_words(value: object) -> str:
    """A value as a message shows it: as TOML writes it where that is short.

    >>> value_in_words("20"), value_in_words(False), value_in_words([1, 2]), value_in_words({})
    ('"20"', 'false', 'a list', 'a table')
    """
    if isinstance(value, enum.Enum):
        return value_in_words(value.value)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…", ensure_ascii=False)
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return repr(value)


def dotted(path: Iterable[str | int]) -> str:
    """Where something stands in a TOML file.

    >>> dotted(("providers", "my.host", "models")), dotted(("steps", 2, "kind"))
    ('providers."my.host".models', 'steps[2].kind')
    """
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f"[{part}]"
            continue
        key = part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
        words += f".{key}" if words else key
    return words


def suggestion(given: str, known: Iterable[str], *, otherwise: str = "known are") -> str:
    """What was probably meant, or all that there is.

    >>> suggestion("task_polices", ["task_policies", "sinks"])
    "did you mean 'task_policies'?"
    >>> suggestion("x", ["b", "a"])
    'known are a, b'
    """
    names = sorted(known)
    folded = {name.casefold().replace("_", "-"): name for name in names}
    near = difflib.get_close_matches(given.casefold().replace("_", "-"), folded, n=1)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    return f"{otherwise} {', '.join(names)}" if names else f"{otherwise} none"
