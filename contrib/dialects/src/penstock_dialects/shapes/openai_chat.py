"""Chat completions and completions, whole or in chunks, as OpenAI and most others send them."""

from __future__ import annotations

from typing import Any, Final

from penstock import error_in
from penstock_dialects.answer import Answer, list_of, object_of, text_of
from penstock_dialects.shapes.openai_usage import read_usage
from penstock_dialects.shapes.shape import Shape

__all__ = ["OPENAI_CHAT"]


def _recognises(data: dict[str, Any]) -> bool:
    return "choices" in data or text_of(data.get("object")).startswith("chat.completion")


def _read(data: dict[str, Any], answer: Answer) -> None:
    choices = [choice for choice in list_of(data.get("choices")) if isinstance(choice, dict)]
    for choice in choices:
        answer.error = answer.error or error_in(choice)
    first = next((choice for choice in choices if choice.get("index") in (0, None)), None)
    if first is not None:
        _read_choice(first, answer)
    for found in (object_of(data.get("x_groq")).get("usage"), data.get("usage")):
        read_usage(found, answer)
    if data.get("object") == "chat.completion.done":
        answer.done = True


def _read_choice(choice: dict[str, Any], answer: Answer) -> None:
    message = object_of(choice.get("message") or choice.get("delta"))
    answer.whole = answer.whole or bool(choice.get("message"))
    answer.content(message.get("content"))
    answer.say(choice.get("text"))
    answer.think(message.get("reasoning_content") or message.get("reasoning"))
    answer.refusal += text_of(message.get("refusal"))
    for place, call in enumerate(list_of(message.get("tool_calls"))):
        if isinstance(call, dict):
            _read_tool_call(call.get("index", place), call, answer)
    if isinstance(message.get("function_call"), dict):
        _read_tool_call("function_call", {"function": message["function_call"]}, answer)
    answer.logprobs += list_of(object_of(choice.get("logprobs")).get("content"))
    answer.finish = text_of(choice.get("finish_reason")) or answer.finish


def _read_tool_call(key: object, call: dict[str, Any], answer: Answer) -> None:
    function = object_of(call.get("function"))
    answer.use_tool(
        key if isinstance(key, int | str) else repr(key)[:50],
        call_id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments"),
    )


OPENAI_CHAT: Final = Shape("chat", _recognises, _read)
