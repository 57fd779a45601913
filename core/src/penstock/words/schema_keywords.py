"""What a validator lets pass, as keywords of JSON Schema: how one says it, and how it is read from those of attrs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs

__all__ = ["in_schema", "keywords_of"]

V = TypeVar("V", bound=Callable[..., Any])

_SAID: Final = "penstock_schema"


def in_schema(**keywords: Any) -> Callable[[V], V]:
    """A mark on a validator of one's own: what it lets pass, as keywords of JSON Schema.

    >>> @in_schema(minimum=0, maximum=65_535)
    ... def port(_, field, value):
    ...     if not 0 <= value <= 65_535:
    ...         raise ValueError(f"{field.name} must be a port from 0 to 65535, not {value!r}")
    >>> keywords_of(port)
    {'minimum': 0, 'maximum': 65535}
    """

    def mark(validator: V) -> V:
        vars(validator)[_SAID] = keywords
        return validator

    return mark


def keywords_of(validator: object) -> dict[str, Any]:
    """What a validator lets pass, as keywords of JSON Schema: one of these, one that is marked, or one of attrs';
    nothing of any other.

    >>> keywords_of(attrs.validators.optional(attrs.validators.gt(0)))
    {'exclusiveMinimum': 0}
    >>> keywords_of(attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(23)))
    {'minimum': 0, 'maximum': 23}
    """
    if _SAID in getattr(validator, "__dict__", {}):
        return dict(vars(validator)[_SAID])
    if not attrs.has(type(validator)):
        return {}
    parts = attrs.asdict(cast("attrs.AttrsInstance", validator), recurse=False)
    match type(validator).__name__:
        case "_AndValidator":
            return {key: value for each in parts["_validators"] for key, value in keywords_of(each).items()}
        case "_OptionalValidator":
            return keywords_of(parts["validator"])
        case "_NumberValidator":
            return {_COMPARED[parts["compare_op"]]: parts["bound"]}
        case "_MinLengthValidator":
            return {"minLength": parts["min_length"]}
        case "_MaxLengthValidator":
            return {"maxLength": parts["max_length"]}
    return {}


_COMPARED: Final[Mapping[str, str]] = {
    ">=": "minimum",
    ">": "exclusiveMinimum",
    "<=": "maximum",
    "<": "exclusiveMaximum",
}
