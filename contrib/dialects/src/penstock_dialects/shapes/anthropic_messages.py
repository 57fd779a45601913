"""Messages as Anthropic sends them. In a stream usage comes twice, cumulative: the last figure of each field counts.

`input_tokens` leaves out what a cache read and wrote; here it is meant in full.
"""

from __future__ import annotations

import json
from typing import Any, Final

from penstock_dialects.answer import Answer, count_of, list_of, object_of, text_of
from penstock_dialects.shapes.shape import Shape

__all__ = ["ANTHROPIC_MESSAGES"]

_KINDS: Final = frozenset(
    {
        *("message", "message_start", "message_delta", "message_stop", "ping"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)


def _recognises(data: dict[str, Any]) -> bool:
    kind = data.get("type")
    return isinstance(kind, str) and kind in _KINDS


def _read(data: dict[str, Any], answer: Answer) -> None:
    kind = data["type"]
    if kind == "message":
        answer.whole = True
        _read_message(data, answer)
    elif kind == "message_start":
        _read_message(object_of(data.get("message")), answer)
    elif kind == "content_block_start":
        _read_block(data.get("index"), object_of(data.get("content_block")), answer)
    elif kind == "content_block_delta":
        _read_delta(data.get("index"), object_of(data.get("delta")), answer)
    elif kind == "message_delta":
        answer.finish = text_of(object_of(data.get("delta")).get("stop_reason")) or answer.finish
        _read_usage(data.get("usage"), answer)
    elif kind == "message_stop":
        answer.done = True


def _read_message(message: dict[str, Any], answer: Answer) -> None:
    for place, block in enumerate(list_of(message.get("content"))):
        _read_block(place, object_of(block), answer)
    answer.finish = text_of(message.get("stop_reason")) or answer.finish
    _read_usage(message.get("usage"), answer)


def _read_block(place: object, block: dict[str, Any], answer: Answer) -> None:
    kind = block.get("type")
    if kind == "text":
        answer.say(block.get("text"))
    elif kind == "thinking":
        answer.think(block.get("thinking"))
    elif kind == "tool_use":
        given = block.get("input")
        answer.use_tool(
            ("block", repr(place)[:50]),
            call_id=block.get("id"),
            name=block.get("name"),
            arguments=json.dumps(given) if given else "",
        )
    elif block and kind != "redacted_thinking":
        answer.parts.append(block)


def _read_delta(place: object, delta: dict[str, Any], answer: Answer) -> None:
    answer.say(delta.get("text"))
    answer.think(delta.get("thinking"))
    if delta.get("type") == "input_json_delta":
        answer.use_tool(("block", repr(place)[:50]), arguments=delta.get("partial_json"))


def _read_usage(usage: object, answer: Answer) -> None:
    counts = object_of(usage)
    read = count_of(counts.get("cache_read_input_tokens"))
    written = count_of(counts.get("cache_creation_input_tokens"))
    fresh = count_of(counts.get("input_tokens"))
    details = object_of(counts.get("output_tokens_details"))
    answer.count(
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=count_of(counts.get("output_tokens")),
        reasoning_tokens=count_of(details.get("thinking_tokens")),
    )
    if fresh is not None:
        cached = (answer.counted("cache_read_tokens") or 0) + (answer.counted("cache_write_tokens") or 0)
        answer.count(input_tokens=fresh + cached)


ANTHROPIC_MESSAGES: Final = Shape("messages", _recognises, _read)
