"""The checks on figures that callers hand in, with the error text they all share."""

from __future__ import annotations

from math import isfinite

from penstock.words.errors import ConfigError

__all__ = ["positive_number", "whole_number"]


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
