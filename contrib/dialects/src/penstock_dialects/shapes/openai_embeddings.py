"""Embeddings: vectors in place of a text. They end when they are there."""

from __future__ import annotations

from typing import Any, Final

from penstock_dialects.answer import Answer, list_of, object_of
from penstock_dialects.shapes.openai_usage import read_usage
from penstock_dialects.shapes.shape import Shape

__all__ = ["OPENAI_EMBEDDINGS"]


def _recognises(data: dict[str, Any]) -> bool:
    return any("embedding" in object_of(item) for item in list_of(data.get("data"))[:1])


def _read(data: dict[str, Any], answer: Answer) -> None:
    items = [object_of(item) for item in list_of(data.get("data"))]
    answer.vectors += [item.get("embedding") for item in items]
    answer.places += [item.get("index") for item in items]
    answer.finish = "stop"
    read_usage(data.get("usage"), answer)
    if answer.counted("input_tokens") is not None:
        answer.count(output_tokens=0)


OPENAI_EMBEDDINGS: Final = Shape("embeddings", _recognises, _read)
