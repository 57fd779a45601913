"""What judging adds to a body: the schema, where the provider takes one, and what was wrong with the last answer. Pure.

Neither is part of what identifies a call: an answer that was given without a schema may fit it, and the answers to a
repair belong to the cell whose first call it repairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from penstock_batch.calls.judging import repair_text

if TYPE_CHECKING:
    from penstock_batch.pipeline.answer_schema import AnswerSchema

__all__ = ["with_repair", "with_schema"]

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME: Final = 64
_FORMATS: Final = frozenset({"responseSchema", "responseJsonSchema", "responseMimeType", "format"})
"""Of `generationConfig` and `output_config`: what says how an answer is to look."""


def with_schema(body: Mapping[str, Any], schema: AnswerSchema, name: str, *, speaks: str) -> dict[str, Any]:
    """`body` with the schema of its answer. As it is where the dialect that is spoken to has no words for such a
    schema, or where `params` say what is wanted, in those of OpenAI's protocol or in the provider's own.
    """
    if speaks == "anthropic" and not schema.strict:  # it refuses objects that may have further members
        return dict(body)
    config = {**_object(body.get("generationConfig")), **_object(body.get("output_config"))}
    if "response_format" in body or config.keys() & _FORMATS:
        return dict(body)
    named = _NO_NAME.sub("_", name)[:_LONGEST_NAME] or "answer"
    described = {"name": named, "schema": schema.contents, "strict": schema.strict}
    return {**body, "response_format": {"type": "json_schema", "json_schema": described}}


def with_repair(body: Mapping[str, Any], answered: str, told: str) -> dict[str, Any]:
    """`body` with an answer and what is wrong with it as two further messages: what is asked is whole, so the answer to
    it stands for itself.
    """
    turns = [{"role": "assistant", "content": answered}, {"role": "user", "content": repair_text(told)}]
    return {**body, "messages": [*body["messages"], *turns]}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
