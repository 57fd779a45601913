"""The validators of the core's own tables, each with what it lets pass in JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from penstock.config.words import value_in_words
from penstock.words.checks import LARGEST, is_finite
from penstock.words.errors import ConfigError
from penstock.words.problems import Problem
from penstock.words.schema_keywords import in_schema
from penstock.words.validators import Validator

__all__ = ["a_share", "at_least_one", "distinct_names", "each_at_least_one", "not_below", "seconds"]


def _must_be(wanted_instead: Callable[[Any], str | None], **keywords: Any) -> Validator:
    """A validator by what a value would have to be that cannot be this; `None` if it can. `keywords` say it in JSON
    Schema."""

    @in_schema(**keywords)
    def validate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if wanted := wanted_instead(value):
            raise ConfigError(Problem((attribute.name,), f"must be {wanted}, not {value_in_words(value)}"))

    return validate


def _wanted_of_a_limit(value: object) -> str | None:
    """The words for what a limit would have to be that cannot be this; `None` if it can."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return "a whole number from 1 on"
    return f"at most {LARGEST:,}" if value > LARGEST else None


_LIMIT: Final = {"minimum": 1, "maximum": LARGEST}
at_least_one: Final = _must_be(_wanted_of_a_limit, **_LIMIT)


@in_schema(additionalProperties={"type": "integer", **_LIMIT})
def each_at_least_one(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, object]) -> None:
    wrong = [
        Problem((attribute.name, key), f"must be {wanted}, not {value_in_words(amount)}")
        for key, amount in value.items()
        if (wanted := _wanted_of_a_limit(amount))
    ]
    if wrong:
        raise ConfigError(wrong)


def seconds(*, zero: bool = False) -> Validator:
    """A validator of durations: positive and finite, or with `zero` also 0. `None` passes, where the type lets it."""
    wanted = f"a duration {'of at least' if zero else 'above'} 0 seconds"

    def unfit(value: object) -> str | None:
        fits = value is None or (is_finite(value) and (value > 0 or (zero and value == 0)))
        return None if fits else wanted

    return _must_be(unfit, **({"minimum": 0} if zero else {"exclusiveMinimum": 0}))


a_share: Final = _must_be(
    lambda value: None if value is None or (is_finite(value) and 0 <= value <= 1) else "a share from 0 to 1",
    minimum=0,
    maximum=1,
)


def not_below(other: str) -> Validator:
    def validate(record: object, attribute: attrs.Attribute[Any], value: float) -> None:
        least = getattr(record, other)
        if value < least < math.inf:
            raise ConfigError(Problem((attribute.name,), f"must be at least {other}, which is {least}, not {value}"))

    return validate


@in_schema(items={"type": "string", "minLength": 1}, uniqueItems=True)
def distinct_names(_: object, attribute: attrs.Attribute[Any], value: list[str] | None) -> None:
    wrong = [
        Problem((attribute.name,), f"names {name!r} twice" if name else "holds an empty name")
        for at, name in enumerate(value or ())
        if not name or name in (value or ())[:at]
    ]
    if wrong:
        raise ConfigError(wrong)
