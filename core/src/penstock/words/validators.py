"""Validators for the fields of a plugin's `Config`, with the error text that all plugins share.

For attrs fields. Each raises `ValueError` with `field must be …, not …`; in a TOML file that becomes a
problem at the field's path. True and False are no numbers here. `None` is refused: for a field that may be left out,
put `attrs.validators.optional(…)` around.

Each says what it lets pass as keywords of JSON Schema too (`in_schema`), for `penstock schema`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeAlias, get_args

import attrs

from penstock.words.checks import is_finite
from penstock.words.schema_keywords import in_schema

__all__ = [
    "Validator",
    "not_empty",
    "number_above",
    "number_from",
    "one_of",
    "true_or_false",
    "whole_number_from",
]

Validator: TypeAlias = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _bounds(least: str, lowest: float, most: float) -> dict[str, float]:
    return {least: lowest} if most == inf else {least: lowest, "maximum": most}


def number_from(least: float, most: float = inf) -> Validator:
    """A validator for finite numbers from `least` to `most`, both included.

    >>> @attrs.frozen
    ... class Config:
    ...     jitter: float = attrs.field(default=0.2, validator=number_from(0.0, 0.9))
    >>> Config(jitter=2)
    Traceback (most recent call last):
        ...
    ValueError: jitter must be a number from 0 to 0.9, not 2
    """
    wanted = f"a number of at least {least:g}" if most == inf else f"a number from {least:g} to {most:g}"
    fits = _validator(wanted, lambda value: is_finite(value) and least <= value <= most)
    return in_schema(**_bounds("minimum", least, most))(fits)


def number_above(least: float, most: float = inf) -> Validator:
    """A validator for finite numbers above `least`, which is excluded, up to `most`, which is included."""
    wanted = f"a number above {least:g}" if most == inf else f"a number above {least:g} and at most {most:g}"
    fits = _validator(wanted, lambda value: is_finite(value) and least < value <= most)
    return in_schema(**_bounds("exclusiveMinimum", least, most))(fits)


def whole_number_from(least: int) -> Validator:
    """A validator for whole numbers of at least `least`, none larger than a float holds."""
    return in_schema(minimum=least)(
        _validator(
            f"a whole number from {least} on",
            lambda value: isinstance(value, int) and is_finite(value) and value >= least,
        )
    )


def one_of(literal: Any) -> Validator:
    """A validator for the texts of a `Literal`, as in `one_of(LimiterScope)`."""
    choices: tuple[str, ...] = get_args(literal)
    *others, last = (f'"{choice}"' for choice in choices)
    words = f"{', '.join(others)} or {last}" if others else last
    return in_schema(enum=list(choices))(_validator(words, lambda value: value in choices))


def true_or_false(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """A validator for booleans."""
    if not isinstance(value, bool):
        raise ValueError(f"{field.name} must be true or false, not {value!r}")


@in_schema(minLength=1)
def not_empty(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """A validator for names: any text but the empty one."""
    if value == "":
        raise ValueError(f"{field.name} must not be empty")


def _validator(wanted: str, fits: Callable[[object], bool]) -> Validator:
    def validate(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if not fits(value):
            raise ValueError(f"{field.name} must be {wanted}, not {value!r}")

    return validate
