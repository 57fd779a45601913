"""What a call really used, read out of the end of its answer as it passes by.

Both a JSON answer and a stream of server-sent events report their usage near the end. So the last few
kilobytes are kept and looked at once, when the body has ended; nothing is held back and nothing is parsed
on the way. gzip and deflate are unpacked on the side; nothing is read in an answer of another encoding, and
the estimate stands.

Looking for the bytes `"usage"` cannot be fooled by a text that contains them: inside a JSON string the
quotes are escaped.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from penstock import MOST_TOKENS, Usage

__all__ = ["AnswerTail"]

KEPT: Final = 16 * 1024
"""Bytes of the end that are kept: far more than any usage object, whatever stands after it."""

LAST_EVENTS: Final = (b"data: [DONE]", b"event: response.completed\n", b"event: message_stop\n")
"""How the last event begins: of a chat completion, of a response, of a message as Anthropic streams it."""

_AUTO_DETECT: Final = zlib.MAX_WBITS | 32


class AnswerTail:
    """The last bytes of an answer, decoded, and what can be read in them."""

    def __init__(self, content_encoding: str = "") -> None:
        encoding = content_encoding.strip().lower()
        self._unpack = zlib.decompressobj(_AUTO_DETECT) if encoding in ("gzip", "deflate") else None
        self._readable = encoding in ("", "identity", "gzip", "deflate")
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body, as they came over the wire. Never raises."""
        if not self._readable:
            return
        if self._unpack is not None:
            try:
                chunk = self._unpack.decompress(chunk)
            except zlib.error:
                self._readable, self._tail = False, b""
                return
        self._tail = (self._tail + chunk)[-KEPT:]

    @property
    def last_event(self) -> bool:
        """Whether the last thing that came is an event after which a stream has nothing more to say."""
        tail = self._tail.replace(b"\r\n", b"\n")
        return tail.endswith(b"\n\n") and tail.rstrip().rsplit(b"\n\n", 1)[-1].startswith(LAST_EVENTS)

    def usage(self) -> Usage | None:
        """The last usage in the answer, under the names of chat, embedding and responses endpoints."""
        text = self._tail.decode("utf-8", "replace")
        at = text.rfind('"usage"')
        while at >= 0:
            usage = _object_after(text, at + len('"usage"'))
            if usage is not None:
                return Usage(
                    input_tokens=_count(usage, "prompt_tokens", "input_tokens"),
                    output_tokens=_count(usage, "completion_tokens", "output_tokens"),
                )
            at = text.rfind('"usage"', 0, at)
        return None

    def error_type(self) -> str | None:
        """The provider's own word for an error, from a short JSON body `{"error": {"code" or "type": ...}}`."""
        try:
            error = json.loads(self._tail)["error"]
            word = error.get("code") or error.get("type")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return word if isinstance(word, str) else None


_decoder: Final = json.JSONDecoder()


def _object_after(text: str, at: int) -> Mapping[str, Any] | None:
    rest = text[at:].lstrip()
    if not rest.startswith(":"):
        return None
    try:
        value, _ = _decoder.raw_decode(rest[1:].lstrip())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _count(usage: Mapping[str, Any], *names: str) -> int:
    counts = (usage.get(name) for name in names)
    return next((n for n in counts if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MOST_TOKENS), 0)
