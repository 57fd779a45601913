"""The type of a column from the values that were seen in it, one after another, in bounded memory.

No value gets lost on the way: where a column's values have no common type that holds each of them exactly, it is a
column of JSON texts (`arrow.json`, in Parquet the logical type JSON).

| values | type |
|---|---|
| true and false | bool |
| integers | int64; uint64 where they need it; else JSON |
| numbers | double, where each integer among them is one exactly; else JSON |
| texts | string; JSON where one holds half a surrogate pair |
| lists | list; of float, where all their numbers are 32-bit ones |
| objects | struct of all members that occur; JSON beyond 1,000 members, or 16 levels, and where one is empty of all |
| several kinds | JSON |

Nothing is null, as it is a missing member. A column of nothing but that is one of strings.
"""

from __future__ import annotations

from array import array
from typing import Any, Final

import pyarrow as pa

__all__ = ["ColumnType"]

_MOST_PARTS: Final = 1000
_DEEPEST: Final = 16
_EXACT: Final = 2**53
"""Up to here a double holds each integer."""


class ColumnType:
    """What is known of one column, from the values that it was shown."""

    def __init__(self) -> None:
        self._parts = 0
        self._mixed = False
        self._values = _Values(self, 0)

    def see(self, value: Any) -> None:
        """Widen the type, so that it holds this JSON value too."""
        if self._mixed:
            self._values = _Values(self, 0)  # gives back what was kept of members
        else:
            self._values.see(value)

    def type(self) -> pa.DataType:
        """The type that holds all values seen: `arrow.json` where no other does."""
        found = None if self._mixed else self._values.type()
        return pa.json_() if found is None else found

    def grow(self, depth: int) -> None:
        """Count one more part; beyond the bound the column is one of JSON texts."""
        self._parts += 1
        self._mixed = self._mixed or self._parts > _MOST_PARTS or depth > _DEEPEST

    def mix(self) -> None:
        """No type but JSON holds all values."""
        self._mixed = True


class _Values:
    """What is known of the values at one place of a column: all of a column, of a list, of a member."""

    __slots__ = ("_column", "_depth", "_high", "_item", "_kind", "_low", "_members", "_wide", "_with_floats")

    def __init__(self, column: ColumnType, depth: int) -> None:
        self._column = column
        self._depth = depth
        self._kind: type | None = None
        self._low = self._high = 0
        self._with_floats = False
        self._wide = False
        self._item: _Values | None = None
        self._members: dict[str, _Values] = {}

    def see(self, value: Any) -> None:
        if value is None:
            return
        kind = type(value)
        if kind is float:
            self._with_floats = True
            self._wide = True
            kind = int
        elif kind is int:
            self._wide = True
            self._low, self._high = min(self._low, value), max(self._high, value)
        if kind is not self._kind:
            if self._kind is not None:
                self._column.mix()
                return
            self._kind = kind
        if kind is str:
            self._see_text(value)
        elif kind is list:
            self._see_list(value)
        elif kind is dict:
            self._see_object(value)

    def _see_text(self, value: str) -> None:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                self._column.mix()

    def _see_list(self, value: list[Any]) -> None:
        if self._item is None:
            self._item = self._part()
        if value and all(type(each) is float for each in value):
            self._item.see_floats(value)
            return
        for each in value:
            self._item.see(each)

    def see_floats(self, values: list[float]) -> None:
        """Of a list of nothing but floats."""
        if self._kind not in (None, int):
            self._column.mix()
            return
        self._kind = int
        self._with_floats = True
        self._wide = self._wide or array("f", values).tolist() != values

    def _see_object(self, value: dict[str, Any]) -> None:
        for name, member in value.items():
            if name not in self._members:
                self._see_text(name)
                self._members[name] = self._part()
            self._members[name].see(member)

    def _part(self) -> _Values:
        self._column.grow(self._depth + 1)
        return _Values(self._column, self._depth + 1)

    def type(self) -> pa.DataType | None:
        """`None` where only JSON holds them."""
        if self._kind is None or self._kind is str:
            return pa.string()
        if self._kind is bool:
            return pa.bool_()
        if self._kind is int:
            return self._number()
        if self._kind is list:
            item = None if self._item is None else self._item.type()
            return None if item is None else pa.list_(item)
        fields = [(name, member.type()) for name, member in self._members.items()]
        return pa.struct(fields) if fields and all(kind is not None for _, kind in fields) else None

    def _number(self) -> pa.DataType | None:
        if self._with_floats:
            if not self._wide:
                return pa.float32()
            return pa.float64() if self._low >= -_EXACT and self._high <= _EXACT else None
        if self._low >= -(2**63) and self._high < 2**63:
            return pa.int64()
        return pa.uint64() if self._low >= 0 and self._high < 2**64 else None
