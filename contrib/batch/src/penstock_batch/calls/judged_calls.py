"""What judging adds to a body: the schema, where the provider takes one, and what was wrong with the last answer. Pure.

Neither is part of what identifies a call: an answer that was given without a schema may fit it, and the answers to a
repair belong to the cell whose first call it repairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from penstock_batch.calls.judging import repair_text
from penstock_batch.pipeline.answer_schema import AnswerSchema

__all__ = ["with_repair", "with_schema"]

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME: Final = 64


def with_schema(body: Mapping[str, Any], schema: AnswerSchema, name: str, *, speaks: str) -> dict[str, Any]:
    """`body` with the schema of its answer, in the words of the protocol that it `speaks`: `anthropic`, `gemini`, or
    OpenAI's for all others. As it is where that has none for such a schema, or where `params` say what is wanted.
    """
    if speaks == "gemini":
        config = body.get("generationConfig", {})
        if "responseSchema" in config or "responseJsonSchema" in config:
            return dict(body)
        wanted = {"responseMimeType": "application/json", "responseJsonSchema": schema.contents}
        return {**body, "generationConfig": {**config, **wanted}}
    if speaks == "anthropic":
        config = body.get("output_config", {})
        if "format" in config or not schema.strict:  # which refuses objects that may have further members
            return dict(body)
        return {**body, "output_config": {**config, "format": {"type": "json_schema", "schema": schema.contents}}}
    if "response_format" in body:
        return dict(body)
    named = _NO_NAME.sub("_", name)[:_LONGEST_NAME] or "answer"
    described = {"name": named, "schema": schema.contents, "strict": schema.strict}
    return {**body, "response_format": {"type": "json_schema", "json_schema": described}}


def with_repair(body: Mapping[str, Any], answered: str, told: str) -> dict[str, Any]:
    """`body` with an answer and what is wrong with it as two further messages: what is asked is whole, so the answer to
    it stands for itself.
    """
    if "contents" in body:
        turns = [
            {"role": "model", "parts": [{"text": answered}]},
            {"role": "user", "parts": [{"text": repair_text(told)}]},
        ]
        return {**body, "contents": [*body["contents"], *turns]}
    turns = [{"role": "assistant", "content": answered}, {"role": "user", "content": repair_text(told)}]
    return {**body, "messages": [*body["messages"], *turns]}
