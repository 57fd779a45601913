"""Answers of Ollama's own endpoints (lines of JSON) and of TGI's (`/generate`, `/generate_stream`),
which tells no usage there: what stands under `details` is about the tokens that it shows."""

from __future__ import annotations

import json
from typing import Any, Final

from penstock_dialects.answer import Answer, count_of, list_of, object_of, text_of
from penstock_dialects.shapes.shape import Shape

__all__ = ["OLLAMA", "TGI"]


def _is_ollamas(data: dict[str, Any]) -> bool:
    return isinstance(data.get("done"), bool)


def _read_ollama(data: dict[str, Any], answer: Answer) -> None:
    message = object_of(data.get("message"))
    answer.say(message.get("content"))
    answer.say(data.get("response"))
    answer.think(message.get("thinking"))
    for call in list_of(message.get("tool_calls")):
        function = object_of(object_of(call).get("function"))
        given = function.get("arguments")
        answer.use_tool(len(answer.tools), name=function.get("name"), arguments=json.dumps(given))
    if data["done"]:
        answer.done = True
        answer.finish = text_of(data.get("done_reason")) or "stop"
        answer.count(
            input_tokens=count_of(data.get("prompt_eval_count")), output_tokens=count_of(data.get("eval_count"))
        )


OLLAMA: Final = Shape("ollama", _is_ollamas, _read_ollama)


def _is_tgis(data: dict[str, Any]) -> bool:
    return "generated_text" in data


def _read_tgi(data: dict[str, Any], answer: Answer) -> None:
    token, details = object_of(data.get("token")), object_of(data.get("details"))
    whole = data.get("generated_text")
    if isinstance(whole, str):
        answer.replace_text()
        answer.say(whole)
        answer.done = True
        answer.finish = text_of(details.get("finish_reason")) or "stop"
    elif token.get("special") is not True:
        answer.say(token.get("text"))


TGI: Final = Shape("tgi", _is_tgis, _read_tgi)
