"""Usage in OpenAI's words, with the habits of those who use them too.

The total tells what two fields leave out: thinking that stands only there (Gemini's compatible endpoint), or beside the
completion (xAI). More cached than there was prompt: the prompt is meant without (xAI on Azure).
"""

from __future__ import annotations

from typing import Any

from penstock_dialects.answer import Answer, count_of, object_of

__all__ = ["read_usage"]


def read_usage(usage: object, answer: Answer) -> None:
    """Put the usage of a chat completion, of embeddings or of a response into the answer."""
    if not isinstance(usage, dict):
        return
    given = _first(usage, "prompt_tokens", "input_tokens")
    made = _first(usage, "completion_tokens", "output_tokens")
    total = count_of(usage.get("total_tokens"))
    cached = written = thought = None
    if before := usage.get("prompt_tokens_details") or usage.get("input_tokens_details"):
        before = object_of(before)
        cached, written = count_of(before.get("cached_tokens")), count_of(before.get("cache_write_tokens"))
    if cached is None:
        cached = _first(usage, "cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
    if after := usage.get("completion_tokens_details") or usage.get("output_tokens_details"):
        thought = count_of(object_of(after).get("reasoning_tokens"))
    if thought is None:
        thought = _first(usage, "reasoning_tokens")
    if given is not None and total is not None and total > given + (made or 0):
        made = total - given
    elif given is not None and total is not None and made is None:
        made = total - given if total >= given else None
    if given is not None and cached is not None and cached > given:
        given += cached
    answer.count(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=thought,
    )


def _first(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        if name in usage and (count := count_of(usage[name])) is not None:
            return count
    return None
