"""The event of a stream that tells the usage, taken out for a client that has not asked for it. Pure.

OpenAI's chunk of usage has an empty `choices`. All other events pass as the bytes that they are; what has come of an
event waits until it has ended, and one that grows too large for an event of usage passes piece by piece.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

__all__ = ["UsageFilter"]

LARGEST_EVENT: Final = 64 * 1024
"""Bytes of an event that is looked at."""
_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_SPLIT: Final = 3
"""Bytes of an end that may have come by now without the rest of it."""


class UsageFilter:
    """The events of one stream without the one of usage."""

    def __init__(self) -> None:
        self._held = b""
        self._looked = 0
        """So many bytes of it hold no end."""
        self._passing = False
        """In the middle of an event that passes whatever it is."""

    def feed(self, data: bytes) -> bytes:
        """What of the stream may pass by now."""
        held = self._held + data
        passed, begin = [], 0
        for end in _END.finditer(held, self._looked):
            event, begin = held[begin : end.end()], end.end()
            if self._passing or not _is_usage(event):
                passed.append(event)
            self._passing = False
        if len(held) - begin > LARGEST_EVENT:
            self._passing = True
            passed.append(held[begin:-_SPLIT])
            begin = len(held) - _SPLIT
        self._held = held[begin:]
        self._looked = max(0, len(self._held) - _SPLIT)
        return b"".join(passed)

    def end(self) -> bytes:
        """What is left when the stream has ended."""
        rest, self._held = self._held, b""
        return rest if self._passing or not _is_usage(rest) else b""


def _is_usage(event: bytes) -> bool:
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    lines = [line for line in event.splitlines() if line]
    if len(lines) != 1 or not lines[0].startswith(b"data:"):
        return False
    try:
        value = msgspec.json.decode(lines[0][5:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("choices") == [] and isinstance(value.get("usage"), dict)
