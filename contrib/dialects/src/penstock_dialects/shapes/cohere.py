"""Answers of Cohere's chat, first and second version, whole or as named events. What is billed is another count."""

from __future__ import annotations

from typing import Any, Final

from penstock_dialects.answer import Answer, count_of, list_of, object_of, text_of
from penstock_dialects.shapes.shape import Shape

__all__ = ["COHERE"]


def _recognises(data: dict[str, Any]) -> bool:
    kind = text_of(data.get("type"))
    return (
        kind in ("message-start", "message-end", "content-delta", "content-start", "content-end", "tool-call-delta")
        or kind in ("tool-call-start", "tool-call-end", "tool-plan-delta")
        or "response_id" in data
        or ("finish_reason" in data and isinstance(data.get("message"), dict))
    )


def _read(data: dict[str, Any], answer: Answer) -> None:
    kind, delta = text_of(data.get("type")), object_of(data.get("delta"))
    message = object_of(delta.get("message") if delta else data.get("message"))
    content = message.get("content")
    if kind in ("content-delta", "content-start"):
        answer.say(object_of(content).get("text"))
        answer.think(object_of(content).get("thinking"))
    else:
        answer.content(content)
    answer.say(data.get("text"))
    calls = message.get("tool_calls")
    for place, call in enumerate(calls if isinstance(calls, list) else [calls]):
        function = object_of(object_of(call).get("function"))
        if function:
            answer.use_tool(
                data.get("index") if isinstance(data.get("index"), int) else place,
                call_id=object_of(call).get("id"),
                name=function.get("name"),
                arguments=function.get("arguments"),
            )
    if kind == "message-end":
        answer.done = True
    answer.finish = text_of(delta.get("finish_reason") or data.get("finish_reason")) or answer.finish
    reported = object_of(delta.get("usage") or data.get("usage") or data.get("meta"))
    tokens = object_of(reported.get("tokens"))
    answer.count(
        input_tokens=count_of(tokens.get("input_tokens")),
        output_tokens=count_of(tokens.get("output_tokens")),
        cache_read_tokens=count_of(reported.get("cached_tokens")),
    )
    answer.logprobs += list_of(data.get("logprobs"))


COHERE: Final = Shape("cohere", _recognises, _read)
