"""An answer as it is kept: whole, so that it can be judged anew in each run and looked at afterwards.

It is a struct of `msgspec`, since reading answers is a good part of what a row costs that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock import Ended, Usage

__all__ = ["Answer"]

_UNTOLD = Usage()


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a model, or one result of a function.

    - `value`: what the step makes of it, before it is judged: a text, a vector, an object of text and tool calls, or
      what the function returned.
    - `text`, `refusal`, `reasoning`, `parts`, `tool_calls`, `logprobs`: what the answer held, as the dialect read it.
    - `ended`: how it ended; `None` where nothing says so, as of a function.
    - `usage`: in tokens, as far as it was reported; `cost`: in the money of the prices given for the model, `None`
      without one.
    - `by`: who answered, as the pipeline calls it (`provider/model`), which may be a fallback; `model` and
      `fingerprint`: what the provider named.
    - `asked`: which call of its cell it answers: 0 the first, then each fresh try or repair.
    - `step`: the name that its step had; `row`: what the row is known by for which it was asked; 0 of none.
    - `at`: when it came, in seconds since 1970; `elapsed`: seconds from the call's going out to its last byte.
    """

    value: Any = msgspec.UNSET
    text: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    parts: tuple[Any, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    logprobs: tuple[Any, ...] = ()
    ended: Ended | None = None
    usage: Usage | Any = _UNTOLD  # `Any` for `msgspec`, which would make and check one for each answer that it reads
    cost: float | None = None
    by: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    asked: int = 0
    step: str = ""
    row: int = 0
    at: float = 0.0
    elapsed: float = 0.0

    def but(self, **changes: Any) -> Answer:
        """The answer with some of its fields changed."""
        return msgspec.structs.replace(self, **changes)
