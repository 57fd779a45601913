"""Answers of Gemini and Vertex, whole, as chunks or as a list of chunks; its embeddings; and its Interactions API.

Each `usageMetadata` replaces the one before, and the counts may fall. Thoughts and tool use stand beside the other
counts, what a cache read is inside the prompt, and a count of nothing is left out.
"""

from __future__ import annotations

import json
from typing import Any, Final

from penstock_dialects.answer import Answer, count_of, list_of, object_of, text_of
from penstock_dialects.shapes.shape import Shape

__all__ = ["GEMINI", "GEMINI_EMBEDDINGS", "GEMINI_INTERACTIONS"]


def _recognises(data: dict[str, Any]) -> bool:
    return "candidates" in data or "usageMetadata" in data or "promptFeedback" in data


def _read(data: dict[str, Any], answer: Answer) -> None:
    candidate = object_of(next(iter(list_of(data.get("candidates"))), None))
    for place, part in enumerate(list_of(object_of(candidate.get("content")).get("parts"))):
        _read_part(place, object_of(part), answer)
    blocked = text_of(object_of(data.get("promptFeedback")).get("blockReason"))
    if blocked:
        answer.finish = "content_filter"
    finish = text_of(candidate.get("finishReason"))
    answer.finish = finish or answer.finish
    if finish.upper() == "STOP" and answer.tools:
        answer.finish = "tool_calls"
    answer.logprobs += [candidate["logprobsResult"]] if candidate.get("logprobsResult") else []
    _read_usage(object_of(data.get("usageMetadata")), answer)


def _read_part(place: int, part: dict[str, Any], answer: Answer) -> None:
    call = part.get("functionCall")
    if isinstance(call, dict):
        key = ("part", len(answer.tools), place)
        answer.use_tool(key, call_id=call.get("id"), name=call.get("name"), arguments=json.dumps(call.get("args")))
    elif part.get("thought") is True:
        answer.think(part.get("text"))
    elif isinstance(part.get("text"), str):
        answer.say(part["text"])
    elif set(part) - {"thoughtSignature"}:
        answer.parts.append(part)


def _read_usage(reported: dict[str, Any], answer: Answer) -> None:
    prompt = count_of(reported.get("promptTokenCount"))
    if prompt is None:
        return
    beside = count_of(reported.get("toolUsePromptTokenCount")) or 0
    thoughts = count_of(reported.get("thoughtsTokenCount"))
    answer.count(
        input_tokens=prompt + beside,
        output_tokens=(count_of(reported.get("candidatesTokenCount")) or 0) + (thoughts or 0),
        cache_read_tokens=count_of(reported.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


GEMINI: Final = Shape("gemini", _recognises, _read)


def _recognises_embeddings(data: dict[str, Any]) -> bool:
    return any("values" in object_of(each) for each in (data.get("embedding"), *list_of(data.get("embeddings"))[:1]))


def _read_embeddings(data: dict[str, Any], answer: Answer) -> None:
    found = list_of(data.get("embeddings")) if "embeddings" in data else [data.get("embedding")]
    answer.vectors += [object_of(each).get("values") for each in found]
    answer.finish = "stop"
    prompt = count_of(object_of(data.get("usageMetadata")).get("promptTokenCount"))
    if prompt is not None:
        answer.count(input_tokens=prompt, output_tokens=0)


GEMINI_EMBEDDINGS: Final = Shape("gemini embeddings", _recognises_embeddings, _read_embeddings)


def _recognises_interaction(data: dict[str, Any]) -> bool:
    return text_of(data.get("event_type")).startswith(("interaction.", "content.")) or "interaction" in data


def _read_interaction(data: dict[str, Any], answer: Answer) -> None:
    interaction = object_of(data.get("interaction"))
    answer.say(object_of(data.get("delta")).get("text"))
    for item in list_of(interaction.get("outputs")):
        answer.content([item])
    reported = object_of(interaction.get("usage"))
    given, made = count_of(reported.get("total_input_tokens")), count_of(reported.get("total_output_tokens"))
    thought, beside = count_of(reported.get("total_thought_tokens")), count_of(reported.get("total_tool_use_tokens"))
    answer.count(
        input_tokens=None if given is None else given + (beside or 0),
        output_tokens=None if made is None else made + (thought or 0),
        cache_read_tokens=count_of(reported.get("total_cached_tokens")),
        reasoning_tokens=thought,
    )
    if data.get("event_type") == "interaction.completed":
        answer.done = True
        answer.finish = text_of(interaction.get("status"))


GEMINI_INTERACTIONS: Final = Shape("interactions", _recognises_interaction, _read_interaction)
