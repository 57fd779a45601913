"""Chat completions and completions, whole or in chunks, as OpenAI and most others send them."""

from __future__ import annotations

from typing import Any, Final

from penstock import error_in
from penstock_dialects.answer import Answer, list_of, object_of, text_of
from penstock_dialects.shapes.openai_usage import read_usage
from penstock_dialects.shapes.shape import Shape

__all__ = ["OPENAI_CHAT"]

_EMPTY: Final[dict[str, Any]] = {}


def _recognises(data: dict[str, Any]) -> bool:
    return "choices" in data or text_of(data.get("object")).startswith("chat.completion")


def _read(data: dict[str, Any], answer: Answer) -> None:
    first = None
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            if "error" in choice or "errors" in choice:
                answer.error = answer.error or error_in(choice)
            if first is None and choice.get("index") in (0, None):
                first = choice
    if first is not None:
        _read_choice(first, answer)
    if "x_groq" in data:
        read_usage(object_of(data["x_groq"]).get("usage"), answer)
    read_usage(data.get("usage"), answer)
    if data.get("object") == "chat.completion.done":
        answer.done = True


def _read_choice(choice: dict[str, Any], answer: Answer) -> None:
    message = choice.get("message")
    if message:
        answer.whole = True
    else:
        message = choice.get("delta")
    if not isinstance(message, dict):
        message = _EMPTY
    answer.content(message.get("content"))
    if text := choice.get("text"):
        answer.say(text)
    if thought := message.get("reasoning_content") or message.get("reasoning"):
        answer.think(thought)
    if refusal := message.get("refusal"):
        answer.refusal += text_of(refusal)
    if calls := message.get("tool_calls"):
        for place, call in enumerate(list_of(calls)):
            if isinstance(call, dict):
                _read_tool_call(call.get("index", place), call, answer)
    if isinstance(message.get("function_call"), dict):
        _read_tool_call("function_call", {"function": message["function_call"]}, answer)
    if logprobs := choice.get("logprobs"):
        answer.logprobs += list_of(object_of(logprobs).get("content"))
    finish = choice.get("finish_reason")
    if finish and isinstance(finish, str):
        answer.finish = finish


def _read_tool_call(key: object, call: dict[str, Any], answer: Answer) -> None:
    function = object_of(call.get("function"))
    answer.use_tool(
        key if isinstance(key, int | str) else repr(key)[:50],
        call_id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments"),
    )


OPENAI_CHAT: Final = Shape("chat", _recognises, _read)
