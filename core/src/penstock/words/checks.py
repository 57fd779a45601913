"""The checks on what callers hand in, with the error text they all share.

Whatever passes them, the pure core can reckon with: a figure is finite where it is added up, small enough that no loop
over it is long, and no True or False; what things are filed under is equal to itself and has one hash, and none of the
operations on it is a caller's own code, which might raise where the gates decide for everybody. What does not pass is a
`ConfigError` to that caller alone, with the argument's name and what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import EnumType
from math import inf, isfinite, isnan
from typing import Any, Final, TypeGuard, TypeVar

from penstock.words.errors import ConfigError

__all__ = [
    "HEAVIEST",
    "LARGEST",
    "LIGHTEST",
    "MOST_TOKENS",
    "a_duration",
    "a_figure",
    "a_key",
    "a_mapping",
    "a_moment",
    "a_name",
    "a_text",
    "a_weight",
    "an_instance",
    "exception_types",
    "is_finite",
    "is_text",
    "names",
    "shown",
    "true_or_false",
    "whole_number",
]

R = TypeVar("R")

LARGEST: Final = 1_000_000
"""The largest cap, limit and amount."""

MOST_TOKENS: Final = 1_000_000_000
"""How many tokens of a kind one call can use."""

LIGHTEST: Final = 1e-6
"""The smallest weight."""

HEAVIEST: Final = 1e6
"""The largest weight."""

SHOWN: Final = 100
"""How many characters of a wrong value an error has."""

_RELIED_ON: Final[Mapping[type, tuple[str, ...]]] = {
    str: ("__eq__", "__ne__", "__lt__", "__hash__", "__str__", "__format__", "__len__", "encode", "isascii"),
    int: ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__add__", "__radd__", "__sub__",
          "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__int__", "__index__", "__float__"),
}  # fmt: skip
"""What must be Python's own in a class derived from these, since the core does it with every value."""


def shown(value: object) -> str:
    """A wrong value as errors have it: short, and never an error itself."""
    try:
        text = repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a number of too many digits, or a `__repr__` that raises
        return f"{type(value).__name__} value that cannot be shown"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string, and behaves as one."""
    return type(value) is str or _is_plain(value, str)


def _is_plain(value: object, kind: type) -> bool:
    """Whether it is of this kind, `str` or `int`, or of one derived from it that behaves as that does."""
    derived = type(value)
    return derived is kind or (
        isinstance(value, kind)
        and (isinstance(derived, EnumType) or all(getattr(derived, n) is getattr(kind, n) for n in _RELIED_ON[kind]))
    )


def whole_number(value: object, what: str, least: int = 1, most: int = LARGEST) -> int:
    """`value`, if it is a whole number from `least` to `most`; otherwise `ConfigError`. True is no number."""
    if type(value) is int and least <= value <= most:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not _is_plain(value, int) or value < least:
        raise ConfigError(f"{what} must be a whole number from {least} on, not {shown(value)}")
    if value > most:
        raise ConfigError(f"{what} must be at most {most:,}, not {shown(value)}")
    return value


def a_weight(value: object, what: str) -> float:
    """`value`, if it is a number from 0.000001 to 1,000,000; otherwise `ConfigError`."""
    number = _number(value)
    if number is None or not LIGHTEST <= number <= HEAVIEST:
        raise ConfigError(f"{what} must be a number from {LIGHTEST:f} to {HEAVIEST:,.0f}, not {shown(value)}")
    return number


def a_moment(value: object, what: str) -> float:
    """`value`, if it can be a moment of the run's clock; otherwise `ConfigError`. `inf` is one that never comes."""
    number = _number(value)
    if number is None or isnan(number):
        raise ConfigError(
            f"{what} must be a moment of the run's clock, trio.current_time() + seconds, not {shown(value)}"
        )
    return number


def a_duration(value: object, what: str) -> float:
    """`value`, if it is a number of seconds from 0 on; otherwise `ConfigError`. `inf` is as long as it takes."""
    number = value if type(value) is float else _number(value)
    if number is None or not number >= 0:
        raise ConfigError(f"{what} must be a number of seconds from 0 on, not {shown(value)}")
    return number


def _number(value: object) -> float | None:
    """The number as the clock reckons, since a whole number may be larger than any of those; `None` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        return float.__float__(value)  # a plain one, also of what is derived from it, as numpy's is
    try:
        return float(value) if _is_plain(value, int) else None
    except OverflowError:
        return None


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a finite number; true and false are none."""
    number = _number(value)
    return number is not None and isfinite(number)


def a_name(value: object, what: str) -> str:
    """`value`, if it is a string that is not empty, and can be written; otherwise `ConfigError`."""
    if type(value) is str and value and value.isascii():
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{what} must be a non-empty string, not {shown(value)}")
    if not is_text(value):
        kind = type(value).__name__
        raise ConfigError(f"{what} must be a plain string; of the type {kind} it behaves otherwise: write str(…)")
    if not value or not _can_be_written(value):
        raise ConfigError(f"{what} must be a non-empty string, not {shown(value)}")
    return value


def _can_be_written(text: str) -> bool:
    """Whether there is no half of a character in it, which no file and no checksum can have."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def a_text(value: object, what: str) -> str:
    """`value`, if it is a string that behaves as one; otherwise `ConfigError`."""
    if not is_text(value):
        raise ConfigError(f"{what} must be {'plain ' if isinstance(value, str) else ''}text, not {shown(value)}")
    return value


def a_figure(value: object, what: str) -> float:
    """`value`, if it is a finite number from 0 on; otherwise `ConfigError`."""
    number = _number(value)
    if number is None or not 0 <= number < inf:
        raise ConfigError(f"{what} must be a finite number from 0 on, not {shown(value)}")
    return number


def names(value: object, what: str) -> tuple[str, ...]:
    """The names that `value` holds, an iterable of strings; otherwise `ConfigError`. One string is no list of them."""
    if isinstance(value, str | bytes):
        raise ConfigError(f"{what} must be a list of names, not the text {shown(value)}: write [{shown(value)}]")
    if not isinstance(value, Iterable):
        raise ConfigError(f"{what} must be a list of names, not {shown(value)}")
    found = tuple(value)
    for name in found:
        a_name(name, f"each of {what}")
    return found


def a_key(value: Any, what: str) -> Any:
    """`value`, if things can be filed under it and it can be written; otherwise `ConfigError`.

    What has an `__eq__` of its own must bear being compared with something else.
    """
    try:
        right = value is not None and not isinstance(value, bytes) and _can_be_filed_under(value) and value != ""
    except Exception:
        right = False
    if not right:
        raise ConfigError(
            f"{what} must be hashable, and comparable with anything, such as a string or a tuple of strings, "
            f"not {shown(value)}"
        )
    return value


def _can_be_filed_under(value: object) -> bool:
    if type(value) is str:
        return value.isascii() or _can_be_written(value)
    if type(value) is tuple:
        return value != () and all(map(_can_be_filed_under, value))
    if isinstance(value, str):
        return is_text(value) and _can_be_written(value)
    if isinstance(value, tuple) and not all(map(_can_be_filed_under, value)):
        return False
    str(value).encode()
    others = value == "", value == (), value == object()
    return (value == value) is True and hash(value) == hash(value) and not any(others)


def a_mapping(value: object, what: str, such_as: str) -> Mapping[Any, Any]:
    """`value`, if it is a mapping; otherwise `ConfigError`, which shows one `such_as` would be right."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise ConfigError(f"{what} must be a mapping, such as {such_as}, not {shown(value)}")
    return value


def an_instance(value: object, kind: type[R], what: str) -> R:
    """`value`, if it is of this kind; otherwise `ConfigError`."""
    if not isinstance(value, kind):
        raise ConfigError(f"{what} must be of the type {kind.__name__}, not {shown(value)}")
    return value


def true_or_false(value: object, what: str) -> bool:
    """`value`, if it is True or False; otherwise `ConfigError`."""
    if not isinstance(value, bool):
        raise ConfigError(f"{what} must be True or False, not {shown(value)}")
    return value


def exception_types(value: object, what: str) -> tuple[type[Exception], ...]:
    """`value`, if it is a tuple of exception types; otherwise `ConfigError`."""
    types = value if isinstance(value, tuple) else (None,)
    if not all(isinstance(each, type) and issubclass(each, Exception) and _can_be_asked(each) for each in types):
        raise ConfigError(f"{what} must be a tuple of exception types, such as (ConnectionError,), not {shown(value)}")
    return types


def _can_be_asked(kind: type[Exception]) -> bool:
    """Whether it can be said if an exception is of this type, which a metaclass may have a say in."""
    try:
        isinstance(Exception(), kind)
    except Exception:
        return False
    return True
