"""The JSON Schema of a step's answers: read and checked when the pipeline is, and made ready once.

Nothing is fetched, ever. Which `$schema` counts is said by the schema, and is 2020-12 where it says nothing. A `format`
is looked at where that needs no further library, so that it means the same everywhere: `date`, `date-time`, `email`,
`ipv4`, `ipv6`, `uuid`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jsonschema
from jsonschema import ValidationError
from jsonschema.exceptions import best_match
from referencing import Registry

from penstock_batch.pipeline.beside import FileProblem, json_of
from penstock_batch.pipeline.schema_bounds import bounded, errors_of
from penstock_batch.pipeline.schema_problems import SchemaProblem
from penstock_batch.pipeline.schema_walk import objects_in, walk_problems
from penstock_batch.rows.lines import kept

__all__ = ["AnswerSchema", "read_schema"]

_LONGEST: Final = 200
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CLASSES: Final[Mapping[str, Any]] = {
    _DIALECT: jsonschema.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator,
    "http://json-schema.org/draft-07/schema": jsonschema.Draft7Validator,
    "http://json-schema.org/draft-06/schema": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-04/schema": jsonschema.Draft4Validator,
}
_NOT_STRICT: Final = frozenset(
    (
        *("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
        *("patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "prefixItems"),
        *("contains", "uniqueItems", "minProperties", "maxProperties", "$dynamicRef", "$recursiveRef"),
    )
)
"""What the strict mode of structured outputs does not take."""


class AnswerSchema:
    """A schema that is ready to judge by.

    >>> schema = AnswerSchema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    >>> schema.properties, schema.wrong_with({"n": 1})
    (('n',), None)
    >>> schema.wrong_with({"n": "1"})
    "n: '1' is not of type 'integer'"
    """

    def __init__(self, contents: Mapping[str, Any]) -> None:
        """Raises `SchemaProblem`."""
        try:
            held: dict[str, Any] = kept(dict(contents))
        except (TypeError, ValueError) as error:
            raise SchemaProblem(f"is no JSON: {error}") from None
        self.contents: Mapping[str, Any] = held
        """The schema as it was given, as it may be sent."""
        named = held.get("$schema", _DIALECT)
        dialect = named.rstrip("#") if isinstance(named, str) else named
        if not isinstance(dialect, str) or dialect not in _CLASSES:
            known = ", ".join(_CLASSES)
            raise SchemaProblem(f"$schema: {named!r} is not known; there are {known}")
        own = {name: value for name, value in held.items() if name != "$schema"}
        validator_class = _CLASSES[dialect]
        try:
            # Its patterns are looked at below: what is one is said by who carries it out, and not by a format.
            wrong = next(validator_class(validator_class.META_SCHEMA, registry=Registry()).iter_errors(own), None)
        except RecursionError:
            raise SchemaProblem("is nested too deeply") from None
        if wrong is not None:
            raise SchemaProblem(_in_words(wrong))
        problems = walk_problems(own, dialect)
        if problems:
            raise SchemaProblem(str(problems[0]))
        self._validator = bounded(validator_class)(own, format_checker=_FORMATS, registry=Registry())
        self.properties = _properties(own)
        """The members that the schema names, where an answer is an object."""
        self.strict = _is_strict(own, dialect)
        """Whether it fulfils what OpenAI asks of a schema in strict mode."""

    def wrong_with(self, value: Any) -> str | None:
        """What is wrong with a JSON value, in one line: at most three things, each with its place. `None` if it is
        right. Raises `TooMuchToJudge`.
        """
        errors = errors_of(self._validator, value)
        return "; ".join(map(_in_words, errors)) if errors else None


def read_schema(given: str | Mapping[str, Any], folder: Path) -> AnswerSchema:
    """The schema in a file, whose path is taken from `folder`, or in an inline table. Raises `SchemaProblem`."""
    if isinstance(given, Mapping):
        return AnswerSchema(given)
    path = folder / given
    try:
        contents = json_of(path, "schema of an answer")
    except FileProblem as problem:
        raise SchemaProblem(str(problem)) from None
    if not isinstance(contents, dict):
        raise SchemaProblem(f"{path}: must be an object, as a schema that says something is")
    try:
        return AnswerSchema(contents)
    except SchemaProblem as problem:
        raise SchemaProblem(f"{path}: {problem}") from None


def _properties(schema: Mapping[str, Any]) -> tuple[str, ...]:
    properties = schema.get("properties")
    return tuple(properties) if schema.get("type") == "object" and isinstance(properties, dict) else ()


def _is_strict(schema: Mapping[str, Any], dialect: str) -> bool:
    if schema.get("type") != "object":
        return False
    for each in objects_in(schema, dialect):
        if _NOT_STRICT & each.keys():
            return False
        kind = each.get("type")
        if kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in each:
            named = each.get("properties", {})
            if each.get("additionalProperties") is not False or set(each.get("required", ())) != set(named):
                return False
    return True


def _in_words(error: ValidationError) -> str:
    """`tags[2].name: 7 is not of type 'string'`: where, and what. Of alternatives, what the likeliest one says."""
    inner = best_match([error]) or error
    where = ""
    for step in inner.absolute_path:
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else str(step)
    said = " ".join(str(inner.message).split())
    said = said if len(said) <= _LONGEST else f"{said[: _LONGEST // 2]} … {said[-_LONGEST // 2 :]}"
    return f"{where[:_LONGEST]}: {said}" if where else said


_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _is_moment(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return _MOMENT.fullmatch(value) is not None and bool(datetime.fromisoformat(value.upper()))


def _formats() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(formats=("date", "email", "ipv4", "ipv6", "uuid"))
    checker.checks("date-time", raises=ValueError)(_is_moment)
    return checker


_FORMATS: Final = _formats()
