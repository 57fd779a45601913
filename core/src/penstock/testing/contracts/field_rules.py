"""Rules for the fields of a record, as data: a rule looks at a value and says what is wrong with it, or
nothing.

A rule neither raises nor converts, so the same one serves a record that refuses to be made wrongly and a
reader of files that tells all errors at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

__all__ = ["Rule", "flag", "number", "optional", "problems_in", "raise_if", "whole"]

Rule = Callable[[object], str | None]


def whole(least: int) -> Rule:
    """A whole number of at least `least`; true and false are no numbers."""

    def rule(value: object) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return None
        return f"must be a whole number of at least {least}, not {value!r}"

    return rule


def number(least: float, *, most: float = math.inf, excluded: bool = False) -> Rule:
    """A finite number from `least` (itself `excluded` or not) to `most`."""
    above = f"above {least:g}" if excluded else f"of at least {least:g}"
    wanted = f"a number {above}" if math.isinf(most) else f"a number from {least:g} to {most:g}"

    def rule(value: object) -> str | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            below = value <= least if excluded else value < least
            if not below and value <= most:
                return None
        return f"must be {wanted}, not {value!r}"

    return rule


def flag(value: object) -> str | None:
    """True or false, and nothing that merely counts as it."""
    return None if isinstance(value, bool) else f"must be true or false, not {value!r}"


def optional(rule: Rule) -> Rule:
    """Nothing, or what `rule` accepts."""
    return lambda value: None if value is None else rule(value)


def problems_in(values: Mapping[str, object], rules: Mapping[str, Rule]) -> list[str]:
    """One sentence, `name must be …`, for each value that breaks its rule."""
    return [f"{name} {problem}" for name, value in values.items() if (problem := rules[name](value))]


def raise_if(problems: list[str]) -> None:
    """Raises one `ValueError` with all `problems`, if there are any."""
    if problems:
        raise ValueError("; ".join(problems))
