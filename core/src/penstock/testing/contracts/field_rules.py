"""Validators for the fields of a record: each looks at one value, also at one of the wrong type, and raises
`ValueError` with what would be right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard, get_args

import attrs

from penstock.config.words import value_in_words

__all__ = ["Validator", "a_number", "number_above", "number_from", "one_of", "true_or_false", "whole_number_from"]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def number_from(least: float, most: float = math.inf) -> Validator:
    """A validator for finite numbers from `least` to `most`, both included."""
    wanted = f"a number of at least {least:g}" if most == math.inf else f"a number from {least:g} to {most:g}"
    return _validator(wanted, lambda value: a_number(value) and least <= value <= most)


def number_above(least: float) -> Validator:
    """A validator for finite numbers above `least`."""
    return _validator(f"a number above {least:g}", lambda value: a_number(value) and value > least)


def whole_number_from(least: int) -> Validator:
    """A validator for whole numbers of at least `least`."""
    return _validator(
        f"a whole number from {least} on",
        lambda value: isinstance(value, int) and a_number(value) and value >= least,
    )


def one_of(literal: Any) -> Validator:
    """A validator for the texts of a `Literal`."""
    choices: tuple[str, ...] = get_args(literal)
    *others, last = (f'"{choice}"' for choice in choices)
    return _validator(f"{', '.join(others)} or {last}" if others else last, lambda value: value in choices)


def a_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _validator(wanted: str, fits: Callable[[Any], bool]) -> Validator:
    def validate(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if not fits(value):
            raise ValueError(f"{field.name} must be {wanted}, not {value_in_words(value)}")

    return validate


true_or_false = _validator("true or false", lambda value: isinstance(value, bool))
