"""The bounds of a schema, so that to judge by it has an end: of the steps that it takes, and of the time in patterns.

A pattern such as `^(a|aa)+$` takes for ever on some texts, and references may multiply: while an answer is judged
nothing else happens. So patterns are carried out by `regex`, which has a time limit, and each keyword pays a step.
What `jsonschema` does by itself is kept, but for the few keywords that search, or compare each item with each other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

import regex
from jsonschema import ValidationError
from jsonschema.validators import extend

from penstock_batch.pipeline.schema_problems import TooMuchToJudge
from penstock_batch.words.failures import said_of

__all__ = ["MOST_STEPS", "PATTERN_SECONDS", "bounded", "errors_of", "pattern_problem"]

MOST_STEPS: Final = 100_000
"""Keywords that are looked at for one answer."""
PATTERN_SECONDS: Final = 0.5
"""Seconds in all patterns, for one answer."""
_MOST_ERRORS: Final = 3
_MOST_PATTERN: Final = 10_000
_MOST_REPEATED: Final = 100_000
_REPEAT: Final = re.compile(r"(\)?)\{(\d*)(?:,(\d*))?\}")

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class _Budget:
    """What is left to one answer."""

    def __init__(self) -> None:
        self._steps = MOST_STEPS
        self._seconds = PATTERN_SECONDS

    def take(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TooMuchToJudge(f"the schema takes more than {MOST_STEPS:,} steps over it")

    def search(self, pattern: str, text: str) -> bool:
        began = time.monotonic()
        try:
            return _compiled(pattern).search(text, timeout=max(self._seconds, 0.001)) is not None
        except TimeoutError:
            raise TooMuchToJudge(
                f"the pattern {pattern[:100]!r} takes more than {PATTERN_SECONDS:g} s over it"
            ) from None
        finally:
            self._seconds -= time.monotonic() - began


_budget: ContextVar[_Budget] = ContextVar("budget of the answer that is judged")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern; `None` if nothing is.

    >>> pattern_problem("^[a-z]{2,10}$"), pattern_problem("(x"), pattern_problem("(x{9}){99999}")
    (None, 'missing ) at position 2', 'repeats 899,991 times; say maxLength instead')
    """
    if len(pattern) > _MOST_PATTERN:
        return f"has more than {_MOST_PATTERN:,} characters"
    # A group that is repeated is written out as often as that when it is compiled.
    single, groups = 1, 1
    for group, least, most in _REPEAT.findall(pattern):
        count = max(int(least or 1), int(most or 1), 1)
        single, groups = (single, groups * count) if group else (max(single, count), groups)
        if single * groups > _MOST_REPEATED:
            return f"repeats {single * groups:,} times; say maxLength instead"
    try:
        _compiled(pattern)
    except RecursionError:
        return "is nested too deeply"
    except regex.error as error:
        return str(error)
    return None


def errors_of(validator: Any, value: Any) -> Sequence[ValidationError]:
    """The first errors of a value, by a validator of a `bounded` class. Raises `TooMuchToJudge`."""
    token = _budget.set(_Budget())
    try:
        found = []
        for error in validator.iter_errors(value):
            found.append(error)
            if len(found) == _MOST_ERRORS:
                break
        return found
    except RecursionError:
        raise TooMuchToJudge("the schema leads too deep into it") from None
    except TooMuchToJudge:
        raise
    except Exception as error:  # of the library, over a value that nobody thought of
        raise TooMuchToJudge(said_of(error)) from None
    finally:
        _budget.reset(token)


def bounded(validator_class: Any) -> Any:
    """`validator_class` with its keywords under a budget, which `errors_of` gives."""
    keywords = {**validator_class.VALIDATORS, **_OURS}
    extended: Any = extend  # which has no types of its own
    return extended(validator_class, {name: _paying(keyword) for name, keyword in keywords.items()})


def _paying(keyword: Keyword) -> Keyword:
    def paying(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterable[ValidationError] | None:
        _budget.get().take(1 + len(wanted) // 10 if isinstance(wanted, list) else 1)
        return keyword(validator, wanted, value, schema)

    return paying


# -- keywords that search, or compare each with each --


def _pattern(_: Any, wanted: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _budget.get().search(wanted, value):
        yield ValidationError(f"{value!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Mapping[str, Any], value: Any, _: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, schema in wanted.items():
        for name, member in value.items():
            if _budget.get().search(pattern, name):
                yield from validator.descend(member, schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    named = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    extras = [
        name
        for name in value
        if name not in named and not any(_budget.get().search(pattern, name) for pattern in patterns)
    ]
    if isinstance(wanted, dict):
        for name in extras:
            yield from validator.descend(value[name], wanted, path=name)
    elif not wanted and extras:
        shown = ", ".join(map(repr, extras[:5]))
        yield ValidationError(f"{shown} may not be there (additionalProperties is false)")


def _unique_items(_: Any, wanted: bool, value: Any, __: Any) -> Iterator[ValidationError]:
    if not wanted or not isinstance(value, list):
        return
    seen = set()
    for item in value:
        same = _comparable(item)
        if same in seen:
            yield ValidationError(f"{item!r} stands in it twice")
            return
        seen.add(same)


def _comparable(value: Any) -> Any:
    """Something that is the same for values that JSON Schema takes for equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return dict, frozenset((name, _comparable(member)) for name, member in value.items())
    if isinstance(value, list):
        return list, tuple(map(_comparable, value))
    return (bool, value) if isinstance(value, bool) else value


_OURS: Final[Mapping[str, Keyword]] = {
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}
