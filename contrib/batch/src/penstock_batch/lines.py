"""JSON, one value per line, in the one way that every file and every call of a batch writes it."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["json_bytes", "json_line"]


def json_bytes(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON. Raises `TypeError` or `ValueError` for what JSON cannot say (sets, NaN, circles).

    Half a surrogate pair, which JSON can hold and UTF-8 cannot, is written as an escape.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def json_line(value: Any) -> bytes:
    """`json_bytes` and a line feed."""
    return json_bytes(value) + b"\n"
