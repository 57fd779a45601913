"""Answers of Bedrock's Converse, and those of InvokeModel by Llama and Titan; its usage stands in headers too.

`inputTokens` leaves the cache out; its counts come under two names.
"""

from __future__ import annotations

import json
from typing import Any, Final

from penstock_dialects.answer import Answer, count_of, list_of, object_of, text_of
from penstock_dialects.shapes.shape import Shape

__all__ = ["BEDROCK", "read_usage"]


def _recognises(data: dict[str, Any]) -> bool:
    return "stopReason" in data or "generation" in data or "outputText" in data


def _read(data: dict[str, Any], answer: Answer) -> None:
    answer.say(data.get("generation"))
    answer.say(data.get("outputText"))
    content = list_of(object_of(object_of(data.get("output")).get("message")).get("content"))
    for place, block in enumerate(map(object_of, content)):
        tool = block.get("toolUse")
        if isinstance(block.get("text"), str):
            answer.say(block["text"])
        elif isinstance(tool, dict):
            given = json.dumps(tool.get("input"))
            answer.use_tool(place, call_id=tool.get("toolUseId"), name=tool.get("name"), arguments=given)
        elif isinstance(block.get("reasoningContent"), dict):
            answer.think(object_of(block["reasoningContent"].get("reasoningText")).get("text"))
        elif block:
            answer.parts.append(block)
    ends = (text_of(data.get(name)) for name in ("stopReason", "stop_reason", "completionReason"))
    answer.finish = next(filter(None, ends), answer.finish)
    answer.count(
        input_tokens=count_of(data.get("prompt_token_count", data.get("inputTextTokenCount"))),
        output_tokens=count_of(data.get("generation_token_count", data.get("totalOutputTextTokenCount"))),
    )
    read_usage(data.get("usage"), answer)


def read_usage(usage: object, answer: Answer) -> None:
    """Put the usage of Converse into the answer."""
    reported = object_of(usage)
    read = count_of(reported.get("cacheReadInputTokens", reported.get("cacheReadInputTokenCount")))
    written = count_of(reported.get("cacheWriteInputTokens", reported.get("cacheWriteInputTokenCount")))
    fresh = count_of(reported.get("inputTokens"))
    answer.count(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=count_of(reported.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


BEDROCK: Final = Shape("bedrock", _recognises, _read)
