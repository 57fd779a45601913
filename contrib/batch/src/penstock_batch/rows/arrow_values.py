"""The values of Arrow's types as JSON, and back.

| type | as JSON |
|---|---|
| integers, texts, booleans, lists, structs | as they are |
| floats | numbers; `"NaN"`, `"Infinity"` and `"-Infinity"`, which JSON has no numbers for |
| decimals | their digits, `"12.30"` |
| timestamps, dates, times | ISO 8601, `"2026-01-31T12:00:00Z"`, in UTC where they have a time zone |
| durations | seconds, `"1.5s"` |
| binary | base64 |
| maps | objects |
| dictionaries | the value itself |
| `arrow.json` | what the text says |

Whole arrays are turned at once, since asking each value what it is would take ten times as long.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from math import isfinite
from typing import Any, Final, TypeVar
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from penstock_batch.rows import arrow_moments as moments
from penstock_batch.rows.lines import json_bytes

__all__ = ["plain", "restored", "returning"]

T = TypeVar("T")

_JSON: Final = "arrow.json"
_UUID: Final = "arrow.uuid"


# -- Arrow to JSON --


def plain(array: pa.Array) -> list[Any]:
    """The values of an array as JSON. Raises `ValueError` for a value that has no place in it, such as a text that is
    not UTF-8, and `TypeError` for a type that has none.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _extension(array)
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if pa.types.is_struct(kind):
        return _structs(array)
    if pa.types.is_map(kind):
        return _maps(array)
    if _is_list(kind):
        return _lists(array)
    if pa.types.is_union(kind):
        raise TypeError(f"the type {kind} cannot be read")
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        array = array.cast(_counted(kind))
    text = _text_of(kind)
    values = array.to_pylist()
    return values if text is None else [None if value is None else text(value) for value in values]


def _counted(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _text_of(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """What makes JSON of a value as `to_pylist` gives it; `None` where that is JSON already."""
    if pa.types.is_floating(kind):
        return _number
    if pa.types.is_decimal(kind):
        return lambda value: format(value, "f")
    if _is_binary(kind):
        return lambda value: base64.b64encode(value).decode()
    if pa.types.is_timestamp(kind):
        utc = kind.tz is not None
        return lambda count: moments.moment_text(count, kind.unit, utc=utc)
    if pa.types.is_date32(kind):
        return moments.day_text
    if pa.types.is_date64(kind):
        return lambda count: moments.day_text(count // 86_400_000)
    if pa.types.is_time(kind):
        return lambda count: moments.time_text(count, kind.unit)
    if pa.types.is_duration(kind):
        return lambda count: moments.duration_text(count, kind.unit)
    if pa.types.is_interval(kind):
        return lambda value: {"months": value.months, "days": value.days, "nanoseconds": value.nanoseconds}
    return None


def _number(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _extension(array: pa.ExtensionArray) -> list[Any]:
    name = array.type.extension_name
    if name == _UUID:
        return [None if value is None else str(UUID(bytes=value)) for value in array.storage.to_pylist()]
    values = plain(array.storage)
    if name == _JSON:
        return [None if value is None else json.loads(value, parse_constant=_no_number) for value in values]
    return values


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _structs(array: pa.StructArray) -> list[Any]:
    names = [field.name for field in array.type]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TypeError(f"a struct has the field {twice!r} twice")
    columns = [plain(array.field(place)) for place in range(len(names))]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    valid = array.is_valid().to_pylist()
    return [dict(zip(names, values, strict=True)) if there else None for values, there in zip(rows, valid, strict=True)]


def _maps(array: pa.MapArray) -> list[Any]:
    offsets = array.offsets.to_pylist()
    first, last = offsets[0], offsets[-1]
    keys = [key if isinstance(key, str) else json.dumps(key) for key in plain(array.keys[first:last])]
    items = plain(array.items[first:last])
    valid = array.is_valid().to_pylist()
    return [
        _object(keys[start - first : end - first], items[start - first : end - first]) if there else None
        for (start, end), there in zip(pairwise(offsets), valid, strict=True)
    ]


def _object(keys: list[str], items: list[Any]) -> dict[str, Any]:
    made = dict(zip(keys, items, strict=True))
    if len(made) != len(keys):
        raise ValueError(f"a map has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return made


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _lists(array: Any) -> list[Any]:
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        offsets = array.offsets.to_pylist()
        values = plain(array.values[offsets[0] : offsets[-1]])
        first = offsets[0]
        valid = array.is_valid().to_pylist()
        return [
            values[start - first : end - first] if there else None
            for (start, end), there in zip(pairwise(offsets), valid, strict=True)
        ]
    return [plain(each.values) if each.is_valid else None for each in array]


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


# -- JSON to Arrow --


def returning(kind: pa.DataType) -> pa.DataType | None:
    """The type with which a column of this type is written again; `None` where it has none.

    It is the type itself, but that of the values for dictionaries and the like, and that of the storage for foreign
    extension types.
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return kind if kind.extension_name in (_JSON, _UUID) else returning(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return returning(kind.value_type)
    if types.is_union(kind) or types.is_interval(kind) or types.is_null(kind) or types.is_float16(kind):
        return None
    if types.is_map(kind):
        key, item = returning(kind.key_type), returning(kind.item_type)
        return pa.map_(key, item) if key is not None and types.is_string(key) and item is not None else None
    if _is_list(kind):
        value = returning(kind.value_type)
        if value is None or isinstance(value, pa.BaseExtensionType):
            return None
        if types.is_fixed_size_list(kind):
            return pa.list_(value, kind.list_size)
        return pa.large_list(value) if types.is_large_list(kind) else pa.list_(value)
    if types.is_struct(kind):
        fields = [(field.name, returning(field.type)) for field in kind]
        if not fields or any(each is None or isinstance(each, pa.BaseExtensionType) for _, each in fields):
            return None
        return pa.struct(fields)
    if types.is_string_view(kind):
        return pa.string()
    return pa.binary() if types.is_binary_view(kind) else kind


def restored(value: Any, kind: pa.DataType) -> Any:
    """A JSON value as `pyarrow.array` takes it for this type. Raises `ValueError` or `TypeError` where it is no such
    value (any more).
    """
    if value is None:
        return None
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _uuid(value) if kind.extension_name == _UUID else json_bytes(value).decode()
    if types.is_map(kind):
        return [(key, restored(item, kind.item_type)) for key, item in value.items()]
    if _is_list(kind):
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} is no list")
        return [restored(each, kind.value_type) for each in value]
    if types.is_struct(kind):
        if value.keys() - {field.name for field in kind}:
            raise ValueError("there are members beside those of the struct")
        return {field.name: restored(value.get(field.name), field.type) for field in kind}
    return _leaf(value, kind)


def _leaf(value: Any, kind: pa.DataType) -> Any:
    types = pa.types
    if types.is_boolean(kind) or types.is_integer(kind):
        if isinstance(value, bool) is not types.is_boolean(kind):
            raise TypeError(f"{value!r} is no {kind}")
        return value
    if types.is_floating(kind):
        return _float(value, kind)
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    if types.is_decimal(kind):
        return _decimal(value)
    if _is_binary(kind):
        return _bytes(value)
    if types.is_timestamp(kind):
        return moments.moment_of(value, kind.unit, utc=kind.tz is not None)
    if types.is_date(kind):
        return moments.day_of(value) * (1 if types.is_date32(kind) else 86_400_000)
    if types.is_time(kind):
        return moments.time_of(value, kind.unit)
    if types.is_duration(kind):
        return moments.duration_of(value, kind.unit)
    return value


def _float(value: Any, kind: pa.DataType) -> float:
    if isinstance(value, str):
        if value not in ("NaN", "Infinity", "-Infinity"):
            raise ValueError(f"{value!r} is no number")
        return float(value)
    if type(value) not in (int, float) or pa.scalar(value, kind).as_py() != value:
        raise ValueError(f"{value!r} is no {kind}")
    return float(value)


# A text is one of the type only if the type gives the same text back: else something of it would get lost.


def _decimal(value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no decimal number") from None
    return _same(number, value, format(number, "f"))


def _bytes(value: str) -> bytes:
    raw = base64.b64decode(value, validate=True)
    return _same(raw, value, base64.b64encode(raw).decode())


def _uuid(value: str) -> bytes:
    found = UUID(value)
    return _same(found.bytes, value, str(found))


def _same(made: T, text: str, again: str) -> T:
    if again != text:
        raise ValueError(f"{text!r} would come back as {again!r}")
    return made
