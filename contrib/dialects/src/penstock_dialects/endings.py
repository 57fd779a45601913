"""How an answer ended, in the words of all providers: no word means two things, so one table does for all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from penstock import Ended

__all__ = ["ENDINGS_IN_WORDS", "UNENDED"]

_WORDS: Final[dict[Ended, str]] = {
    "stop": "stop end_turn stop_sequence eos eos_token complete completed done",
    "length": "length max_tokens max_output_tokens model_context_window_exceeded model_length error_limit",
    "tool_calls": "tool_calls function_call tool_use tool_call",
    "paused": "pause_turn",
    "content_filter": (
        "content_filter content_filtered guardrail_intervened safety recitation blocklist prohibited_content spii"
        " image_safety image_prohibited_content image_recitation language model_armor jailbreak error_toxic"
    ),
    "refusal": "refusal",
    "error": (
        "error abort timeout failed cancelled user_cancel insufficient_system_resource malformed_function_call"
        " unexpected_tool_call too_many_tool_calls malformed_model_output malformed_tool_use other image_other no_image"
    ),
}

ENDINGS_IN_WORDS: Final[Mapping[str, Ended]] = MappingProxyType(
    {word: ended for ended, words in _WORDS.items() for word in words.split()}
)
"""A provider's word in lower case, to what it means. A word that is not listed counts as `stop`."""

UNENDED: Final = frozenset({"load", "unload", "queued", "in_progress"})
"""Words that end what was no answer: Ollama has only loaded a model, or a response is made in the background."""
