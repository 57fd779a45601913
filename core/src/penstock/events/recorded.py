"""Events as plain data and as lines of JSON, and back: the form in which streams are recorded.

A line is as the standard library would write it, in ASCII, but it is `msgspec` that writes it, many at once, in a sixth
of the time. What that writes otherwise (what is not ASCII) is written again; and what it cannot write (half a
character) or writes without a word (`null` for what is no number) is left to the standard library, an event at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

import msgspec

from penstock.events.correlation import NAMES, RuntimeCorrelation
from penstock.events.records import RuntimeEvent
from penstock.words.checks import a_mapping
from penstock.words.errors import ConfigError
from penstock.words.read_only import fixed

__all__ = ["event_from_dict", "event_to_dict", "event_to_json", "events_to_json_lines", "json_safe"]

_FIELDS: Final = tuple(name for name in RuntimeEvent.__struct_fields__ if name != "correlation")
_NEEDED: Final = ("stream", "sequence", "event_kind", "captured_at_monotonic")
_encode_lines: Final = msgspec.json.Encoder().encode_lines
_spell: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]+")


def event_to_dict(event: RuntimeEvent) -> dict[str, Any]:
    """The event as plain data, without the fields that are empty."""
    data = {name: value for name in _FIELDS if (value := getattr(event, name)) is not None}
    if event.correlation is not None:
        data["correlation"] = {name: value for name in NAMES if (value := getattr(event.correlation, name)) is not None}
    return data


def event_to_json(event: RuntimeEvent) -> str:
    """The event as one line of JSON, without the line feed. Raises `TypeError` or `ValueError` if not JSON-safe."""
    return events_to_json_lines((event,))[:-1].decode()


def events_to_json_lines(events: Sequence[RuntimeEvent]) -> bytes:
    """The events as `event_to_json` writes them, with a line feed after each: for a file of many.

    Raises `TypeError` or `ValueError` if one of them is not JSON-safe.
    """
    lines = _written(events)
    if lines is None:
        lines = b"".join([_written((event,)) or _spelt(event) for event in events])
    return lines


def _written(events: Sequence[RuntimeEvent]) -> bytes | None:
    """The lines; `None` if they have to be spelt, one or all."""
    try:
        lines = _encode_lines(events)
    except (TypeError, ValueError, RecursionError):
        return None
    if _may_hold_null(events) and b"null" in lines:
        return None
    if b"\x7f" in lines or not lines.isascii():
        lines = _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], lines.decode()).encode()
    return lines


def _may_hold_null(events: Sequence[RuntimeEvent]) -> bool:
    total = 0.0
    for event in events:
        if event.diagnostics is not None or event.snapshot is not None:
            return True
        total += event.captured_at_monotonic
    return not isfinite(total)


def _spelt(event: RuntimeEvent) -> bytes:
    return f"{_spell(event_to_dict(event))}\n".encode()


def json_safe(fields: object, what: str) -> dict[str, Any] | None:
    """A copy of a mapping that a caller hands in for an event, in what JSON has. Raises `ConfigError` for all else."""
    if fields is None:
        return None
    try:
        text = json.dumps(dict(a_mapping(fields, what, "{'rows': 3}")), allow_nan=False)
        copied: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{what} must hold strings, finite numbers, lists and mappings alone: {error}") from None
    return copied


def event_from_dict(data: Mapping[str, Any]) -> RuntimeEvent:
    """The event that `event_to_dict` made `data` of, for readers of a recorded stream.

    Keys that are not known are passed over, so that a reader goes on with what a later version wrote.
    Raises `ValueError` for data that lacks one of the fields that every event has.
    """
    fields: dict[str, Any] = {name: fixed(data[name]) for name in _FIELDS if name in data}
    correlation = data.get("correlation")
    if correlation is not None:
        fields["correlation"] = RuntimeCorrelation(**{n: correlation[n] for n in NAMES if n in correlation})
    for name in _NEEDED:
        if name not in fields:
            raise ValueError(f"this is no runtime event: it has no {name!r}")
    return RuntimeEvent(**fields)
