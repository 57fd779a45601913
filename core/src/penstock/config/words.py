"""The words for types and values in messages about a configuration, and for what was probably meant.

Every message about a configuration is put together from these, so that they read alike wherever they come from.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs

from penstock.words.printable import printable

__all__ = ["did_you_mean", "is_secret", "probably_meant", "type_in_words", "unknown", "value_in_words"]

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
    """The name of a type for people who write TOML.

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


def value_in_words(value: object, path: Iterable[str | int] = ()) -> str:
    """The text by which a message shows a value: as TOML writes it where that is short, but of a secret only its type.

    `path` is where it stands; what stands below a key such as `api_key` is a secret, as is any text that
    looks like one.

    >>> value_in_words("20"), value_in_words(False), value_in_words([1, 2]), value_in_words({})
    ('"20"', 'false', 'a list', 'a table')
    >>> value_in_words("swordfish", ("providers", "p", "api_key")), value_in_words(1234, ("pin", "password"))
    ('text', 'a whole number')
    """
    if isinstance(value, enum.Enum):
        return value_in_words(value.value, path)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if is_secret(value, path):
        return _PLAIN.get(type(value), type(value).__name__)
    if isinstance(value, str):
        short = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
        return printable(json.dumps(short, ensure_ascii=False))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return repr(value)


def is_secret(value: object, path: Iterable[str | int] = ()) -> bool:
    """Whether a message must not show a value that stands at `path`: by the name of a key, or by its looks."""
    if any(isinstance(part, str) and _SECRET_KEY.search(part) for part in path):
        return True
    return isinstance(value, str) and any(map(_looks_secret, value.split()))


def _looks_secret(word: str) -> bool:
    return _PASSWORD_IN_URL.search(word) is not None or (
        _OPAQUE.fullmatch(word) is not None
        and any(character.isdigit() for character in word)
        and any(character.isalpha() for character in word)
    )


_SECRET_KEY: Final = re.compile(
    r"(?:^|[^a-z])(?:(?:api|access|private|secret)?keys?|token|pass|pwd|auth|authorization|cookie)$"
    r"|secret|passw|passphrase|credential|authoriz|bearer|api[_-]?key",
    re.IGNORECASE,
)
"""The word token only at the end of a key: `token-budget` is none, and tokens are counted."""
_OPAQUE: Final = re.compile(r"[A-Za-z0-9_+/=.~-]{20,}")
_PASSWORD_IN_URL: Final = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def probably_meant(given: object, known: Iterable[str]) -> str | None:
    """The name of those that are known which was probably meant, if one is near; of what is no text none is."""
    if not isinstance(given, str):
        return None
    from difflib import get_close_matches  # where there is a mistake, and not in each process that serves

    folded = {name.casefold().replace("_", "-"): name for name in known}
    near = get_close_matches(given.casefold().replace("_", "-"), folded, n=1)
    return folded[near[0]] if near else None


def unknown(what: Literal["key", "table"], given: str, known: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """The path and the words of a problem with a key or a table that nobody knows.

    It is not shown where it may be a secret that was put before the sign of equality: one that looks like a secret
    while nothing that is known is near.

    >>> unknown("key", "max_attempt", ["max_attempts"])
    (('max_attempt',), "unknown key; did you mean 'max_attempts'?")
    >>> unknown("key", "sk-v3rySecretAndL0ngEnough", ["kind"])
    ((), 'holds an unknown key, which looks like a secret and is not shown; known are kind')
    """
    names = sorted(known)
    meant = did_you_mean(given, names)
    if is_secret(given) and probably_meant(given, names) is None:
        return (), f"holds an unknown {what}, which looks like a secret and is not shown; {meant}"
    return (given,), f"unknown {what}; {meant}"


def did_you_mean(given: str, known: Iterable[str], *, otherwise: str = "known are", most: int = 12) -> str:
    """The end of a message about an unknown name: what was probably meant, or up to `most` of what there is.

    >>> did_you_mean("task_polices", ["task_policies", "sinks"])
    "did you mean 'task_policies'?"
    >>> did_you_mean("x", ["b", "a"]), did_you_mean("x", "abc", otherwise="there are", most=2)
    ('known are a, b', 'there are a, b, and 1 more')
    """
    names = sorted(known)
    meant = probably_meant(given, names)
    if meant is not None:
        return f"did you mean {meant!r}?"
    rest = f", and {len(names) - most} more" if len(names) > most else ""
    return f"{otherwise} {', '.join(names[:most])}{rest}" if names else f"{otherwise} none"
