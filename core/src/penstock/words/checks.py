"""The checks on what callers pass, with the error text they all share."""

from __future__ import annotations

from math import isfinite, isnan

from penstock.words.errors import ConfigError

__all__ = ["a_moment", "a_name", "exception_types", "positive_number", "whole_number"]


def whole_number(value: object, what: str, least: int = 1) -> int:
    """`value`, if it is a whole number of at least `least`; otherwise `ConfigError`. True is no number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{what} must be a whole number from {least} on, not {value!r}")
    return value


def positive_number(value: object, what: str) -> float:
    """`value`, if it is a positive finite number; otherwise `ConfigError`. True is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and value > 0):
        raise ConfigError(f"{what} must be a positive finite number, not {value!r}")
    return value


def a_moment(value: object, what: str) -> float:
    """`value`, if it can be a moment of the run's clock; otherwise `ConfigError`. `inf` is one that never comes."""
    if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value):
        raise ConfigError(f"{what} must be a moment of the run's clock, trio.current_time() + seconds, not {value!r}")
    return value


def a_name(value: object, what: str) -> str:
    """`value`, if it is a string that is not empty; otherwise `ConfigError`."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{what} must be a non-empty string, not {value!r}")
    return value


def exception_types(value: object, what: str) -> tuple[type[Exception], ...]:
    """`value`, if it is a tuple of exception types; otherwise `ConfigError`."""
    types = value if isinstance(value, tuple) else (None,)
    if not all(isinstance(each, type) and issubclass(each, Exception) for each in types):
        raise ConfigError(f"{what} must be a tuple of exception types, such as (ConnectionError,), not {value!r}")
    return types
