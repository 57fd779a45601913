"""The content of a provider's answer: the text, the vector, the tokens used; or in one line why there is none. Pure.

Bodies are the user's data and may quote them, so what is taken from an error body is one short line, without our own
key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from penstock import MOST_TOKENS, ResponseFacts, classify
from penstock_batch.giving_up import FailureKind

__all__ = ["Answered", "BadAnswer", "chat_answer", "embedding_answer", "error_line", "failure_kind"]

_LONGEST: Final = 200
_FOR_GOOD: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "account_deactivated", "billing_not_active"}
)


class BadAnswer(ValueError):
    """A 200 that does not hold what it should, in one line."""


@attrs.frozen
class Answered:
    """The value of a cell, and the tokens that it used. `cut_short`: the answer ended at the limit on its length."""

    value: Any
    input_tokens: int = 0
    output_tokens: int = 0
    cut_short: bool = False


def chat_answer(body: bytes) -> Answered:
    """The text of a chat completion. Raises `BadAnswer`."""
    data = _object(body)
    try:
        choice = data["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise BadAnswer("the answer holds no choices[0].message.content") from None
    if not isinstance(text, str):
        refusal = choice["message"].get("refusal")
        raise BadAnswer(
            f"the model refused: {_one_line(refusal)}" if isinstance(refusal, str) else "the answer holds no text"
        )
    return Answered(text, *_usage(data), choice.get("finish_reason") == "length")


def embedding_answer(body: bytes) -> Answered:
    """The vector of an embedding call for one input. Raises `BadAnswer`."""
    data = _object(body)
    try:
        vector = data["data"][0]["embedding"]
    except (KeyError, IndexError, TypeError):
        raise BadAnswer("the answer holds no data[0].embedding") from None
    if not isinstance(vector, list) or not vector or not all(type(x) in (int, float) for x in vector):
        raise BadAnswer("the embedding is no list of numbers")
    return Answered(vector, *_usage(data))


def failure_kind(status: int, body: bytes, headers: Mapping[str, str]) -> FailureKind:
    """The meaning of an error status for the calls that come after (`giving_up.py`); `headers` have lower-case names.

    The core says whether it is a rate limit, and whether the same call may succeed later.
    """
    if status in (401, 403, 404) or _error_fields(body)[1] in _FOR_GOOD:
        return "refused"
    outcome = classify(ResponseFacts(status=status, headers=headers), None)
    if outcome.kind == "rate_limited":
        return "limited"
    return "down" if outcome.retryable else "unfit"


def error_line(status: int, body: bytes, key: str | None = None) -> str:
    """`HTTP 401: Incorrect API key provided.`: the status, and what the provider says in one short line, `key`
    blotted out.
    """
    message, code = _error_fields(body)
    said = message or code
    if key:
        said = said.replace(key, "***")
    return f"HTTP {status}: {_one_line(said)}" if said else f"HTTP {status}"


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("the answer is not JSON") from None
    if not isinstance(data, dict):
        raise BadAnswer("the answer is no JSON object")
    return data


def _usage(data: Mapping[str, Any]) -> tuple[int, int]:
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return 0, 0
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else 0


def _error_fields(body: bytes) -> tuple[str, str]:
    """Message and code of an error in OpenAI's shape, or in one that is close to it; empty where there is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    message, code = error.get("message"), error.get("code") or error.get("type")
    return message if isinstance(message, str) else "", code if isinstance(code, str) else ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
