"""Usage in OpenAI's words, with the habits of those who use them too.

The total tells what two fields leave out: thinking that stands only there (Gemini's compatible endpoint), or beside the
completion (xAI). More cached than there was prompt: the prompt is meant without (xAI on Azure).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock import MOST_TOKENS
from penstock_dialects.answer import Answer, count_of, object_of

__all__ = ["read_usage"]

_CACHED: Final = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens")
_THOUGHT: Final = ("reasoning_tokens",)
_FLAT: Final = frozenset((*_CACHED, *_THOUGHT))
"""What some tell beside the sums, and others in details of them."""


def read_usage(usage: object, answer: Answer) -> None:
    """Put the usage of a chat completion, of embeddings or of a response into the answer."""
    if not isinstance(usage, dict):
        return
    given = _first(usage, ("prompt_tokens", "input_tokens"))
    made = _first(usage, ("completion_tokens", "output_tokens"))
    total = _first(usage, ("total_tokens",))
    flat = not _FLAT.isdisjoint(usage)
    cached = written = thought = None
    if before := usage.get("prompt_tokens_details") or usage.get("input_tokens_details"):
        before = object_of(before)
        cached, written = count_of(before.get("cached_tokens")), count_of(before.get("cache_write_tokens"))
    if cached is None and flat:
        cached = _first(usage, _CACHED)
    if after := usage.get("completion_tokens_details") or usage.get("output_tokens_details"):
        thought = count_of(object_of(after).get("reasoning_tokens"))
    if thought is None and flat:
        thought = _first(usage, _THOUGHT)
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


def _first(usage: dict[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        if name in usage:
            told = usage[name]
            count: int | None = told if type(told) is int and 0 <= told <= MOST_TOKENS else count_of(told)
            if count is not None:
                return count
    return None
