"""What is wrong with a JSON Schema beside its form: found by going through all of its parts, before anything runs.

A reference must lead to a place within the schema, since nothing is fetched; it must not lead back to where it stands
without going deeper into the answer, which would have no end; and each pattern must be one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from penstock import Problem, find_cycle
from penstock_batch.pipeline.schema_bounds import pattern_problem

__all__ = ["objects_in", "walk_problems"]

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_SAME_PLACE: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
"""The keywords whose schemas look at the same part of the answer as the schema that they stand in."""
_MOST_PARTS: Final = 20_000


class _Part:
    """A schema within the schema, and where its references are looked up."""

    def __init__(self, contents: Any, resolver: Any) -> None:
        self.contents = contents
        self.resolver = resolver
        self.same_place: list[str] = []


def walk_problems(schema: Mapping[str, Any], dialect: str) -> list[Problem]:
    """The problems of a schema of this `$schema`, each at the keyword that it is of; empty if there are none."""
    problems: list[Problem] = []
    parts = _parts(schema, dialect, problems)
    if find_cycle(parts, lambda part: parts[part].same_place) is not None:
        problems.append(Problem(("$ref",), "a reference leads back to where it stands, so there is no end to it"))
    return problems


def _parts(schema: Mapping[str, Any], dialect: str, problems: list[Problem]) -> dict[str, _Part]:
    specification = specification_with(dialect)
    root: Resource[Any] = specification.create_resource(schema)
    parts: dict[str, _Part] = {}
    left = [_Part(schema, Registry().resolver_with_root(root))]
    while left:
        part = left.pop()
        if _name(part.contents) in parts or not isinstance(part.contents, dict):
            continue
        parts[_name(part.contents)] = part
        if len(parts) > _MOST_PARTS:
            problems.append(Problem((), f"has more than {_MOST_PARTS:,} parts"))
            break
        for keyword in _REFERENCES:
            target = _target(part, keyword, problems)
            if target is not None:
                part.same_place.append(_name(target.contents))
                left.append(target)
        part.same_place += [_name(each) for each in _schemas_at_the_same_place(part.contents)]
        _check_part(part.contents, problems)
        for inner in specification.subresources_of(part.contents):
            left.append(_Part(inner, part.resolver.in_subresource(specification.create_resource(inner))))
    for part in parts.values():  # true, false and lists have no parts of their own
        part.same_place = [each for each in part.same_place if each in parts]
    return parts


def _name(contents: object) -> str:
    return str(id(contents))


def _target(part: _Part, keyword: str, problems: list[Problem]) -> _Part | None:
    reference = part.contents.get(keyword)
    if not isinstance(reference, str):
        return None
    try:
        found = part.resolver.lookup(reference)
    except (Unresolvable, ValueError, TypeError, LookupError, AttributeError):
        what = f"{reference!r} leads to no place within the schema, and nothing else is looked up"
        problems.append(Problem((keyword,), what))
        return None
    return _Part(found.contents, found.resolver)


def _check_part(contents: Mapping[str, Any], problems: list[Problem]) -> None:
    patterns = contents.get("patternProperties")
    named = list(patterns) if isinstance(patterns, dict) else []
    single = contents.get("pattern")
    for keyword, pattern in [("pattern", single), *(("patternProperties", each) for each in named)]:
        if isinstance(pattern, str) and (wrong := pattern_problem(pattern)) is not None:
            problems.append(Problem((keyword,), f"{pattern[:100]!r} {_as_sentence(wrong)}"))
    if "$schema" in contents:
        problems.append(Problem(("$schema",), "may stand at the top of the schema only"))
    if "unevaluatedProperties" in contents and named:
        what = "beside patternProperties is not supported; say additionalProperties"
        problems.append(Problem(("unevaluatedProperties",), what))


def _as_sentence(wrong: str) -> str:
    return wrong if wrong.startswith(("has ", "is ", "repeats ")) else f"is no pattern: {wrong}"


def _schemas_at_the_same_place(contents: Mapping[str, Any]) -> Iterator[Any]:
    for keyword in _SAME_PLACE:
        value = contents.get(keyword)
        if isinstance(value, list):
            yield from value
        elif isinstance(value, dict) and keyword in ("dependentSchemas", "dependencies"):
            yield from value.values()
        elif isinstance(value, dict):
            yield value


def objects_in(schema: Mapping[str, Any], dialect: str) -> list[Mapping[str, Any]]:
    """All schemas within a schema that has no problems, itself among them."""
    return [part.contents for part in _parts(schema, dialect, []).values()]
