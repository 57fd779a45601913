"""Responses, whole or as a stream of named events, the last of which holds the whole response again."""

from __future__ import annotations

from typing import Any, Final

from penstock import ErrorFields, error_in
from penstock_dialects.answer import Answer, list_of, object_of, text_of
from penstock_dialects.shapes.openai_usage import read_usage
from penstock_dialects.shapes.shape import Shape

__all__ = ["OPENAI_RESPONSES"]

_LAST: Final = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})


def _recognises(data: dict[str, Any]) -> bool:
    kind = text_of(data.get("type"))
    return data.get("object") == "response" or kind.startswith("response.") or (kind == "error" and "message" in data)


def _read(data: dict[str, Any], answer: Answer) -> None:
    kind = text_of(data.get("type"))
    if data.get("object") == "response":
        _read_response(data, answer)
    elif kind == "error":
        answer.error = error_in({"error": {**data, "type": ""}})
    elif kind in _LAST:
        answer.done = True
        _read_response(object_of(data.get("response")), answer)
    elif kind == "response.output_text.delta":
        answer.say(data.get("delta"))
    elif kind == "response.refusal.delta":
        answer.refusal += text_of(data.get("delta"))
    elif kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
        answer.think(data.get("delta"))


def _read_response(response: dict[str, Any], answer: Answer) -> None:
    output = list_of(response.get("output"))
    if output:
        answer.replace_text()
        answer.refusal = ""
    for place, item in enumerate(output):
        _read_item(place, object_of(item), answer)
    read_usage(response.get("usage"), answer)
    status = text_of(response.get("status"))
    if status in ("failed", "cancelled"):
        answer.error = error_in(response) or answer.error or ErrorFields(code=status)
    why = text_of(object_of(response.get("incomplete_details")).get("reason"))
    answer.finish = why if status == "incomplete" and why else status
    if status == "completed" and answer.tools:
        answer.finish = "tool_calls"


def _read_item(place: int, item: dict[str, Any], answer: Answer) -> None:
    kind = item.get("type")
    if kind == "function_call":
        answer.use_tool(place, call_id=item.get("call_id"), name=item.get("name"), arguments=item.get("arguments"))
    elif kind == "reasoning":
        for part in list_of(item.get("summary")) + list_of(item.get("content")):
            answer.think(object_of(part).get("text"))
    elif kind == "message":
        for part in list_of(item.get("content")):
            answer.refusal += text_of(object_of(part).get("refusal"))
            answer.logprobs += list_of(object_of(part).get("logprobs"))
        answer.content([part for part in list_of(item.get("content")) if object_of(part).get("type") != "refusal"])
    elif item:
        answer.parts.append(item)


OPENAI_RESPONSES: Final = Shape("responses", _recognises, _read)
