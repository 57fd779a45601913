"""The JSON Schema (2020-12) of what `structure` takes, so that an editor knows a file as the reader does.

It says what can be said without running anybody's code: the types, which keys there are and which of them must be,
defaults, help (`key_help.py`), and the ranges of validators that say theirs (`in_schema`). What it cannot say stays
with the reader: what several keys mean together, names of what is defined elsewhere in the file, that `9.0` is no whole
number, and infinity, which JSON does not have.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from math import isfinite
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs

from penstock.config.key_help import key_help, table_help
from penstock.config.structuring import field_types, key_of
from penstock.config.words import is_list_type, is_mapping_type
from penstock.words.schema_keywords import keywords_of

__all__ = ["DIALECT", "Schema", "SchemaMaking"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_PLAIN: Final[Mapping[Any, Schema]] = MappingProxyType(
    {
        bool: {"type": "boolean"},
        int: {"type": "integer"},
        float: {"type": "number"},
        str: {"type": "string"},
        Path: {"type": "string"},
        datetime: {"type": "string", "format": "date-time"},
        date: {"type": "string", "format": "date"},
        time: {"type": "string", "format": "time"},
    }
)


class SchemaMaking:
    """A schema in the making: records are described once, under `definitions`, and referred to.

    >>> @attrs.frozen
    ... class Quiet:
    ...     days: list[str]
    ...     start: int = attrs.field(default=22, validator=attrs.validators.ge(0))
    >>> making = SchemaMaking()
    >>> making.of(Quiet | None)
    {'$ref': '#/$defs/Quiet'}
    >>> making.definitions["Quiet"]["properties"]["start"]
    {'type': 'integer', 'minimum': 0, 'default': 22}
    >>> making.definitions["Quiet"]["required"]
    ['days']
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[type[Any], str] = {}

    def of(self, wanted: Any) -> Schema:
        """The schema of a type. Raises `TypeError` for one that no TOML value could fit."""
        origin, args = get_origin(wanted), get_args(wanted)
        if wanted in _PLAIN:
            return dict(_PLAIN[wanted])
        if wanted is Any or wanted is object:
            return {}
        if origin is Annotated:
            return self.of(args[0])
        if hasattr(wanted, "__supertype__"):
            return self.of(wanted.__supertype__)
        if origin is Literal:
            return {"enum": list(args)}
        if origin in (Union, UnionType):
            return self._any_of([self.of(each) for each in args if each is not NoneType])
        if is_mapping_type(origin or wanted):
            return {"type": "object", **({"additionalProperties": self.of(args[1])} if args else {})}
        if is_list_type(origin or wanted):
            return self._array(origin or wanted, args)
        if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
            return {"enum": [member.value for member in wanted]}
        if isinstance(wanted, type) and attrs.has(wanted):
            record = self._reference(wanted)
            return self._any_of([{"type": "string"}, record]) if hasattr(wanted, "from_text") else record
        raise TypeError(f"a configuration cannot hold {wanted!r}: no TOML value would fit")

    def _any_of(self, schemas: Sequence[Schema]) -> Schema:
        return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}

    def _array(self, origin: Any, args: Sequence[Any]) -> Schema:
        if origin is tuple and args and args[-1] is not Ellipsis:
            exactly = len(args)
            items = [self.of(each) for each in args]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": exactly, "maxItems": exactly}
        return {"type": "array", **({"items": self.of(args[0])} if args else {})}

    def _reference(self, cls: type[Any]) -> Schema:
        if cls not in self._names:
            plain = name = re.sub(r"[^A-Za-z0-9]", "_", cls.__name__)
            while name in self.definitions:
                name = f"{plain}_{len(self.definitions)}"
            self._names[cls] = name
            self.definitions[name] = {}  # its place, for a record that holds others of its kind
            self.definitions[name] = self.record(cls)
        return {"$ref": f"#/$defs/{self._names[cls]}"}

    def record(self, cls: type[Any]) -> Schema:
        """The schema of a record itself, not a reference to it."""
        types, help_of = field_types(cls), key_help(cls)
        fields = {key_of(field): field for field in attrs.fields(cls) if field.init}
        return {
            "type": "object",
            **_described(table_help(cls)),
            "properties": {
                key: {
                    **self.of(types[field.name]),
                    **keywords_of(field.validator),
                    **_described(help_of.get(key, "")),
                    **_default(field),
                }
                for key, field in fields.items()
            },
            "required": [key for key, field in fields.items() if field.default is attrs.NOTHING],
            "additionalProperties": False,
        }


def _described(text: str) -> Schema:
    return {"description": text} if text else {}


def _default(field: attrs.Attribute[Any]) -> Schema:
    """The default where it is the same everywhere, and JSON has it: a figure that a factory makes is the machine's."""
    value: Any = field.default
    if value is attrs.NOTHING:
        return {}
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = None if value.takes_self else value.factory()
        if not isinstance(value, list | tuple | dict):
            return {}
    try:
        return {"default": _plain(value)}
    except ValueError:
        return {}


def _plain(value: object) -> Any:
    """A value as JSON has it. Raises `ValueError` where it has none."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    raise ValueError
