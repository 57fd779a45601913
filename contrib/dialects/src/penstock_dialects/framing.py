"""A body cut into the JSON texts of which it is made: one whole, lines, or server-sent events.

What comes first decides, since the content type is no proof: OpenAI streams under `application/json`, DeepSeek
sends errors as `application/octet-stream`, and keep-alive lines precede whole answers. It counts where what comes first
is neither JSON nor a page nor a field that is known: a stream may begin with any other.

Events follow the WHATWG's "Server-sent events": lines end with LF, CRLF or CR, a colon begins a comment, `data:`
lines of one event are joined. An event that has begun when the body ends is complete all the same: its empty line may
be missing. `error: {...}`, as older llama.cpp writes, is an event with an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from penstock_dialects.invalid import Invalid
from penstock_dialects.unpacking import Memory

__all__ = ["BLANK", "Framing"]

_EVENTS: Final = re.compile(rb"(?:data|event|id|retry|error)?:")
_DECODER: Final = json.JSONDecoder()
_decode: Final = msgspec.json.Decoder().decode
_SLOW_PARTS: Final = b"{[:,"
"""The signs of what `json` takes its time for, each number of a list too."""
_OPEN: Final = "object"
"""An object has begun: the first of many lines, or the whole."""
_LONGEST_BLANK: Final = 4096
_LARGEST_MEMBER: Final = 16 * 1024
"""Bytes of a member that is read of a value that is not."""
BLANK: Final = b" \t\r\n\xef\xbb\xbf\x00"
"""What may stand before an answer: white space, the mark of UTF-8, and zeros."""


class Framing:
    """The values of one body, as they come. A value is what `json` makes of its text, or `Invalid`.

    `kind` is `events`, `lines` or `whole`, as far as that is known; `last_word`: a line that says DONE has come.
    `events`: the content type promises events.
    """

    def __init__(self, memory: Memory, *, events: bool = False) -> None:
        self.skimmed = False
        """Whether a value had more parts than there is room for: of an object its usage and its error were read then,
        and of anything else nothing.
        """
        self._many, self._few = memory.many, memory.parts
        self._promised = events
        self.kind = ""
        self.last_word = False
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = b""
        self._seen = 0
        self._first: tuple[Any, ...] = ()
        """The value of the first line, by which it was seen that there are lines."""
        self._no_feed = 0
        """So many bytes of the rest hold no LF: else each line that ends with CR would look through all of it."""

    def feed(self, piece: bytes) -> Iterable[Any]:
        """The values that are complete with this piece, to be taken before the next is fed."""
        self._rest += piece
        if self.kind in ("", _OPEN):
            self._decide()
        return () if self.kind in ("", _OPEN, "whole") else self._lines()

    @property
    def held(self) -> int:
        """Bytes of a value whose end has not come."""
        return len(self._rest) + self._data_size

    def _lines(self) -> Iterator[Any]:
        first, self._first = self._first, ()
        yield from first
        while (end := self._line_end()) is not None:
            line = bytes(self._rest[: end[0]])
            del self._rest[: end[1]]
            self._seen, self._no_feed = 0, max(0, self._no_feed - end[1])
            yield from self._line(line)

    def end(self) -> Iterable[Any]:
        """The values that the end of the body completes, to be taken at once."""
        if self.kind == _OPEN:
            self.kind = "whole"  # nothing has come since it was looked at
        elif not self.kind:
            self._decide(ended=True)
        rest, self._rest = bytes(self._rest), bytearray()
        return (self._value(rest),) if self.kind == "whole" else self._last(rest)

    def _last(self, rest: bytes) -> Iterator[Any]:
        if rest.strip(BLANK):
            yield from self._line(rest.rstrip(b"\r\n"))
        yield from self._dispatch()

    def _decide(self, *, ended: bool = False) -> None:
        """What kind of body this is, if that can be reported by now."""
        if not self.kind and self._rest.startswith(b"{"):
            self.kind = _OPEN
        elif not self.kind:
            while not (start := self._rest[:_LONGEST_BLANK].lstrip(BLANK)) and self._rest:
                del self._rest[:_LONGEST_BLANK]
            if not start:
                pass
            elif start.startswith(b"{"):
                self.kind = _OPEN
            elif _EVENTS.match(start):
                self.kind = "events"
            elif ended or len(start) > len(b"event:") or start[:1] not in b"deir":
                self.kind = "events" if self._promised and start[:1] not in b'{["<' else "whole"
            if self.kind in ("events", _OPEN):
                del self._rest[: self._rest.index(start[:1])]
        if self.kind == _OPEN:
            newline = self._rest.find(b"\n", self._seen)
            self._seen = len(self._rest)
            if newline >= 0:  # a first line that is JSON by itself is one of many; if it is alone, that is no harm
                first = self._value(bytes(self._rest[:newline]))
                self.kind = "whole" if isinstance(first, Invalid) else "lines"
                if self.kind == "lines":
                    self._first = (first,)
                    del self._rest[: newline + 1]
                self._seen = 0
            elif ended:
                self.kind = "whole"

    def _line_end(self) -> tuple[int, int] | None:
        """Where the next line ends and the one after begins; a CR at the very end may yet become CRLF."""
        line_feed = self._rest.find(b"\n", self._no_feed)
        self._no_feed = len(self._rest) if line_feed < 0 else line_feed
        if self.kind == "events":
            until = len(self._rest) if line_feed < 0 else line_feed
            at = self._rest.find(b"\r", self._seen, until)
            if 0 <= at < len(self._rest) - 1:
                return at, at + 2 if self._rest[at + 1] == ord("\n") else at + 1
            if at >= 0:
                self._seen = at
                return None
        if line_feed >= 0:
            return line_feed, line_feed + 1
        self._seen = len(self._rest)
        return None

    def _line(self, line: bytes) -> Iterator[Any]:
        if self.kind == "lines":
            if line.strip(BLANK):
                yield self._value(line)
            return
        if not line:
            yield from self._dispatch()
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value[1:] if value.startswith(b" ") else value)
            self._data_size += len(value)
        elif field == b"event":
            self._event = value.strip()
        elif field == b"error":
            yield self._value(b'{"error":' + value + b"}")
        elif line.startswith(b"{"):  # no field at all: the error of a server that has begun a stream by then
            yield self._value(line)

    def _dispatch(self) -> Iterator[Any]:
        event, self._event = self._event, b""
        if not self._data:
            return
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        if data.strip() == b"[DONE]":
            self.last_word = True
        elif event.lower() == b"error":
            yield _as_error(data, self._value(data))
        elif data.strip():
            yield self._value(data)

    def _value(self, text: bytes) -> Any:
        if len(text) > self._few and self._many(text):
            self.skimmed = True
            return _skimmed(text)
        try:
            return _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if len(text) > self._few and self._many(text, _SLOW_PARTS):
                self.skimmed = True
                return Invalid()
            return _odd_value(text)


_NONE: Final = msgspec.Raw()


class _Members(msgspec.Struct, gc=False):
    """Members of an answer that say what became of the call, as they stand in it."""

    object: msgspec.Raw = _NONE
    type: msgspec.Raw = _NONE
    usage: msgspec.Raw = _NONE
    usage_metadata: msgspec.Raw = msgspec.field(default=_NONE, name="usageMetadata")
    error: msgspec.Raw = _NONE
    errors: msgspec.Raw = _NONE


_members: Final = msgspec.json.Decoder(_Members).decode


def _skimmed(text: bytes) -> Any:
    """What can be read of an object in a step, without making what it holds: what is small of these members."""
    try:
        found = msgspec.structs.asdict(_members(text))
        sizes = {name: len(memoryview(raw)) for name, raw in found.items()}
        known = {name: _decode(found[name]) for name, size in sizes.items() if 0 < size <= _LARGEST_MEMBER}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Invalid()
    if "usage_metadata" in known:
        known["usageMetadata"] = known.pop("usage_metadata")
    if max(sizes["error"], sizes["errors"]) > _LARGEST_MEMBER:
        known["error"] = True  # there is one, whatever it says
    return known


def _odd_value(text: bytes) -> Any:
    """The value of what is no JSON by the letter, and may be some all the same."""
    text = text.strip(BLANK)
    begun = text[:1] in (b"{", b"[")
    try:
        letters = text.decode("utf-8", "surrogatepass")
        value, end = _DECODER.raw_decode(letters)
        return value if end == len(letters) else Invalid(begun)
    except RecursionError:
        return Invalid()
    except ValueError:
        if not begun:
            return Invalid(begun=False)
    try:  # half a character, as of a tokenizer, or a number of thousands of digits: the rest was paid for
        return json.loads(text.decode(errors="replace"), parse_int=_int)
    except (ValueError, RecursionError):
        return Invalid()


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) < 100 else float(digits)


def _as_error(data: bytes, value: Any) -> Any:
    """What an event with the name `error` says, in whatever shape; `value` is that of its data."""
    if isinstance(value, dict):
        # where the shape is that of an error by itself, its provider's shape reads it
        return (
            value
            if value.get("error") or (value.get("type") == "error" and "message" in value)
            else {"error": value or True}
        )
    if isinstance(value, Invalid):  # its first words: a text is looked into for the error of another one
        value = data[:_LARGEST_MEMBER].decode(errors="replace")
    return {"error": value or True}
