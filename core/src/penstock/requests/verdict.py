"""What an answer means: one record that says how the call ended, whom a refusal concerns, and what was used.

Readers make it (the core's own in `reading.py`, in full `penstock-dialects`), once, from status, headers and body. What
follows from an answer (retries, limits, giving up) follows from this record and from nothing else.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Struct

from penstock.words.checks import MOST_TOKENS, is_text, shown, whole_number
from penstock.words.errors import ConfigError

__all__ = [
    "ENDINGS",
    "LIMITED_BY",
    "OUTCOME_KINDS",
    "Ended",
    "LimitedBy",
    "Of",
    "OutcomeKind",
    "Usage",
    "Verdict",
    "check_verdict",
]

OutcomeKind = Literal[
    "success",
    "rate_limited",
    "provider_failure",
    "provider_timeout",
    "local_cancelled",
    "local_timeout",
    "unexpected_exception",
]
"""How a call can end."""
OUTCOME_KINDS: Final[tuple[OutcomeKind, ...]] = get_args(OutcomeKind)

LimitedBy = Literal["requests", "tokens", "places", "day", "overload", "unknown"]
"""What a rate limit was about: calls or tokens per time, calls in flight, the quota of a day or a month, the provider's
own shortage; or nobody said."""
LIMITED_BY: Final[tuple[LimitedBy, ...]] = get_args(LimitedBy)

Of = Literal["call", "account"]
"""Whom a refusal for good concerns: this one call, or every call with this key at this model."""

Ended = Literal["stop", "length", "tool_calls", "paused", "empty", "content_filter", "refusal", "cut", "error"]
"""How an answer ended. `empty`: tokens were paid, and there is no text; `cut`: the body broke off."""
ENDINGS: Final[tuple[Ended, ...]] = get_args(Ended)

_WORDS: Final = {"kind": OUTCOME_KINDS, "limited_by": LIMITED_BY, "of": get_args(Of), "ended": ENDINGS}


class Usage(Struct, frozen=True, weakref=True):
    """What a call really used, in tokens (≥ 0). `None`: not reported. Raises `ConfigError` for anything else.

    Input and output are meant in full: what was read from a cache or written to one is part of the input, reasoning
    is part of the output.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and (type(count) is not int or not 0 <= count <= MOST_TOKENS):
                whole_number(count, f"usage.{name}", 0, MOST_TOKENS)


_COUNTS: Final = Usage.__struct_fields__


def check_verdict(kind: object, limited_by: object, of: object, ended: object) -> None:
    """Raises `ConfigError` unless these are words of a verdict, all but the kind perhaps `None`."""
    if type(kind) is not str or kind not in OUTCOME_KINDS:
        _check_word("kind", kind)
    if limited_by is not None:
        _check_word("limited_by", limited_by)
    if of is not None:
        _check_word("of", of)
    if ended is not None and (type(ended) is not str or ended not in ENDINGS):
        _check_word("ended", ended)


def _check_word(what: str, word: object) -> None:
    if not (is_text(word) and word in _WORDS[what]):
        raise ConfigError(f"{what} {shown(word)} is none of {', '.join(_WORDS[what])}")


class Verdict(Struct, frozen=True, kw_only=True, weakref=True):
    """The meaning of one answer. Raises `ConfigError` for words that are not listed.

    `kind`        how the call ended
    `limited_by`  what a rate limit was about; `None` for everything else
    `of`          set on a refusal for good: `call`, which no repetition lets pass (too large, invalid, filtered), or
                  `account` (no credit, bad key, no access, the quota of a day or a month)
    `may_pass`    whether the same call may succeed later; `None`: that follows from the kind and the status. `False`
                  with a refusal of the account: the provider says so in words, and it is no gateway that errs
    `ended`       how the answer ended, where there was one
    `usage`       what was used, as far as that was reported
    `code`        the provider's own word for it (`insufficient_quota`, `max_tokens`), never its text
    """

    kind: OutcomeKind
    limited_by: LimitedBy | None = None
    of: Of | None = None
    may_pass: bool | None = None
    ended: Ended | None = None
    usage: Usage | None = None
    code: str = ""

    def __post_init__(self) -> None:
        check_verdict(self.kind, self.limited_by, self.of, self.ended)
