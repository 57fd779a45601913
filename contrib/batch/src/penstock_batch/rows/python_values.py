"""Python's own values as JSON, in the forms that Arrow's have too: rows of a notebook are seldom made of JSON alone."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from math import isfinite
from os import PathLike, fspath
from typing import Any, Final
from uuid import UUID

from penstock_batch.rows.arrow_moments import duration_text
from penstock_batch.rows.lines import DEEPEST

__all__ = ["as_json"]

_MICROSECOND: Final = dt.timedelta(microseconds=1)


def as_json(value: Any, depth: int = 0) -> Any:
    """A value as JSON. Raises `ValueError`, in one line, for one that has no form there.

    Moments are ISO 8601, bytes base64, decimals their digits; numpy's and pandas' scalars and arrays are what they
    hold; tuples are lists; `NaN` and the infinities are texts, as JSON has no numbers for them.

    >>> as_json({"when": dt.date(2026, 1, 31), "raw": b"x", "n": (1, float("nan"))})
    {'when': '2026-01-31', 'raw': 'eA==', 'n': [1, 'NaN']}
    """
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    kind = type(value)
    if value is None or kind in (str, bool, int):
        return value
    if kind is float:
        return value if isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {_name(name): as_json(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each, depth + 1) for each in value]
    found = _other(value)
    if found is not value:
        return as_json(found, depth + 1)
    raise ValueError(f"a {kind.__name__} has no form in JSON")


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"the name {name!r} is no text")
    return str(name)


def _other(value: Any) -> Any:
    """The value as something simpler; itself where there is nothing such."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.datetime | dt.date | dt.time):
        text = value.isoformat()
        return None if text == "NaT" else text  # pandas' missing moment
    if isinstance(value, dt.timedelta):
        return duration_text(value // _MICROSECOND, "us")
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, PathLike):
        return fspath(value)
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    if type(value).__name__ == "NAType":  # pandas' missing value
        return None
    for name in ("tolist", "as_py"):  # numpy, and everything of its kind; pyarrow
        method = getattr(value, name, None)
        if callable(method):
            return method()
    return value
