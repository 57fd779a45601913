"""Events of Bedrock's ConverseStream, and of InvokeModel's streams of those who speak like it; and the metrics of all.

The usage comes after the end, in `metadata`, which is the last event.
"""

from __future__ import annotations

from typing import Any, Final

from penstock_dialects.answer import Answer, count_of, object_of, text_of
from penstock_dialects.shapes.bedrock import read_usage
from penstock_dialects.shapes.shape import Shape

__all__ = ["BEDROCK_STREAM", "read_metrics"]

_EVENTS: Final = frozenset(
    {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
)


def _recognises(data: dict[str, Any]) -> bool:
    return any(name in _EVENTS and isinstance(value, dict) for name, value in list(data.items())[:3])


def _read(data: dict[str, Any], answer: Answer) -> None:
    started, came = object_of(data.get("contentBlockStart")), object_of(data.get("contentBlockDelta"))
    tool = object_of(object_of(started.get("start")).get("toolUse"))
    if tool:
        answer.use_tool(_place(started), call_id=tool.get("toolUseId"), name=tool.get("name"))
    delta = object_of(came.get("delta"))
    answer.say(delta.get("text"))
    answer.think(object_of(delta.get("reasoningContent")).get("text"))
    if isinstance(delta.get("toolUse"), dict):
        answer.use_tool(_place(came), arguments=delta["toolUse"].get("input"))
    answer.finish = text_of(object_of(data.get("messageStop")).get("stopReason")) or answer.finish
    if isinstance(data.get("metadata"), dict):
        read_usage(data["metadata"].get("usage"), answer)
        answer.done = True


def _place(block: dict[str, Any]) -> object:
    return "block", repr(block.get("contentBlockIndex"))[:50]


def read_metrics(data: dict[str, Any], answer: Answer) -> None:
    """What Bedrock adds to the last chunk of every model, where the model itself has told nothing."""
    metrics = data.get("amazon-bedrock-invocationMetrics")
    if not isinstance(metrics, dict) or not metrics:
        return
    for name, reported in (("input_tokens", "inputTokenCount"), ("output_tokens", "outputTokenCount")):
        if answer.counted(name) is None:
            answer.count(**{name: count_of(metrics.get(reported))})
    answer.done = True


BEDROCK_STREAM: Final = Shape("bedrock stream", _recognises, _read)
