"""The value of an answer to a step that offers tools: what it says, and what it calls, with arguments that are read.

Models write arguments as a text. It is read when the answer is judged, and not before: the answer is kept as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_batch.calls.json_answers import NoJson, json_in
from penstock_batch.pipeline.tools import Tools
from penstock_batch.store.answer import Answer

__all__ = ["BadCall", "with_calls"]


class BadCall(ValueError):
    """A call of a tool that nobody could carry out, in one line."""


def with_calls(answer: Answer, tools: Tools | None) -> dict[str, Any]:
    """`{"text": …, "tool_calls": [{"id": …, "name": …, "arguments": …}, …]}`, the arguments as the JSON that they are.

    Raises `BadCall` for arguments that are no JSON, or not what one of the step's `tools` takes, and `TooMuchToJudge`.
    """
    return {
        "text": answer.text or answer.refusal or "",
        "tool_calls": [_call(each, tools) for each in answer.tool_calls],
    }


def _call(call: Mapping[str, Any], tools: Tools | None) -> dict[str, Any]:
    name, said = call.get("name"), call.get("arguments")
    name = name if isinstance(name, str) else ""
    try:
        # Of a function that takes nothing, some models say nothing.
        arguments = (json_in(said) if said.strip() else {}) if isinstance(said, str) else said
    except NoJson as error:
        raise BadCall(f"it calls {name[:100]} with what is no JSON: {error}") from None
    wrong = None if tools is None else tools.wrong_with(name, arguments)
    if wrong is not None:
        raise BadCall(wrong)
    return {"id": call.get("id"), "name": name, "arguments": arguments}
