"""Events as plain data and as lines of JSON, and back: the form in which streams are recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from operator import attrgetter
from typing import Any, Final

import attrs

from penstock.events.correlation import NAMES, RuntimeCorrelation, keep_json
from penstock.events.records import RuntimeEvent
from penstock.words.checks import a_mapping
from penstock.words.errors import ConfigError

__all__ = ["event_from_dict", "event_to_dict", "event_to_json", "json_safe"]

_NEEDED: Final = ("stream", "sequence", "event_kind", "captured_at_monotonic")
_OPTIONAL: Final = tuple(
    field.name for field in attrs.fields(RuntimeEvent) if field.default is None and field.name != "correlation"
)
_quoted: Final = json.encoder.encode_basestring_ascii
_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Lines are put together word by word: with an encoder and a dictionary for each event, a task that does nothing
and its seven events would take 50 % longer (89 µs, not 59)."""
_correlation_words: Final = attrgetter(*NAMES)
_CORRELATION_KEYS: Final = tuple(f'"{name}":' for name in NAMES)


_latest_moment: tuple[float, str] = (0.0, "0.0")
"""The moment of the last event that was written, and how: what happens in one step has one moment, and to write a float
takes longer than all else of a line."""


def _note_moment(moment: float) -> tuple[float, str]:
    global _latest_moment
    if not isfinite(moment):
        raise ValueError(f"an event cannot be captured at {moment}")
    _latest_moment = noted = moment, repr(moment)
    return noted


def event_to_dict(event: RuntimeEvent) -> dict[str, Any]:
    """The event as plain data, without the fields that are empty."""
    data: dict[str, Any] = {name: getattr(event, name) for name in _NEEDED}
    data |= {name: value for name in _OPTIONAL if (value := getattr(event, name)) is not None}
    if event.correlation is not None:
        data["correlation"] = {name: value for name in NAMES if (value := getattr(event.correlation, name)) is not None}
    return data


def event_to_json(event: RuntimeEvent) -> str:
    """The event as one line of JSON, without the line feed. Raises `TypeError` or `ValueError` if not JSON-safe."""
    moment, text = _latest_moment
    if moment != event.captured_at_monotonic:
        moment, text = _note_moment(event.captured_at_monotonic)
    line = (
        f'{{"stream":"{event.stream}","sequence":{event.sequence},"event_kind":"{event.event_kind}",'
        f'"captured_at_monotonic":{text}'
    )
    if (word := event.task_id) is not None:
        line += f',"task_id":{_quoted(word)}'
    if (word := event.task_execution_id) is not None:
        line += f',"task_execution_id":{_quoted(word)}'
    if (word := event.task_lease_id) is not None:
        line += f',"task_lease_id":{_quoted(word)}'
    if (word := event.request_attempt_id) is not None:
        line += f',"request_attempt_id":{_quoted(word)}'
    if (word := event.request_lease_id) is not None:
        line += f',"request_lease_id":{_quoted(word)}'
    if (word := event.resource) is not None:
        line += f',"resource":{_quoted(word)}'
    if (word := event.group) is not None:
        line += f',"group":{_quoted(word)}'
    if (word := event.reason_or_outcome) is not None:
        line += f',"reason_or_outcome":{_quoted(word)}'
    if event.snapshot is not None:
        line += f',"snapshot":{_encode(event.snapshot)}'
    if event.diagnostics is not None:
        line += f',"diagnostics":{_encode(event.diagnostics)}'
    if event.labels is not None:
        line += f',"labels":{_encode(event.labels)}'
    correlation = event.correlation
    if correlation is not None:
        if correlation.as_json is None:
            values = zip(_CORRELATION_KEYS, _correlation_words(correlation), strict=True)
            text = ",".join([key + _quoted(word) for key, word in values if word is not None])
            keep_json(correlation, f',"correlation":{{{text}}}')
        line += correlation.as_json or ""
    return line + "}"


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
    fields: dict[str, Any] = {name: data.get(name) for name in _OPTIONAL}
    correlation = data.get("correlation")
    if correlation is not None:
        fields["correlation"] = RuntimeCorrelation(**{n: correlation[n] for n in NAMES if n in correlation})
    try:
        return RuntimeEvent(**{name: data[name] for name in _NEEDED}, **fields)
    except KeyError as error:
        raise ValueError(f"this is no runtime event: it has no {error.args[0]!r}") from None
