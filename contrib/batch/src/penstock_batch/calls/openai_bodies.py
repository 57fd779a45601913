"""The body of an answer as OpenAI's protocol has it, made of the answer as it is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from penstock import Ended
from penstock_batch.store.answer import Answer

__all__ = ["response_body"]

_REASONS: Final[Mapping[Ended | None, str]] = {
    "stop": "stop",
    "empty": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def response_body(kind: str, answer: Answer) -> dict[str, Any]:
    """What stands under `response.body` in a line of a batch's results."""
    model = answer.model or (answer.by or "").partition("/")[2]
    prompt, completion = answer.usage.input_tokens, answer.usage.output_tokens
    if kind == "embedding":
        usage: dict[str, Any] = {"prompt_tokens": prompt, "total_tokens": prompt}
        data = [{"object": "embedding", "index": 0, "embedding": answer.value}]
        return {"object": "list", "data": data, "model": model, "usage": usage}
    total = None if prompt is None or completion is None else prompt + completion
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": {"content": list(answer.logprobs)} if answer.logprobs else None,
        "finish_reason": _REASONS.get(answer.ended, "stop"),
    }
    return {
        "object": "chat.completion",
        "created": int(answer.at),
        "model": model,
        "choices": [choice],
        "usage": usage,
        "system_fingerprint": answer.fingerprint,
    }


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call.get("name"), "arguments": call.get("arguments")}
    return {"id": call.get("id"), "type": "function", "function": function}
