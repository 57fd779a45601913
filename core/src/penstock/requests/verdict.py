"""What an answer means: one record that says how the call ended, whom a refusal concerns, and what was used.

Readers make it (the core's own in `reading.py`, in full `penstock-dialects`), once, from status, headers and body. What
follows from an answer (retries, limits, giving up) follows from this record and from nothing else.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.requests.verdict_checks import check_usage, check_verdict
from penstock.requests.verdict_words import ENDINGS, LIMITED_BY, OUTCOME_KINDS, Ended, LimitedBy, Of, OutcomeKind

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
]


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

    __post_init__ = check_usage  # type: ignore[misc]  # compiled, and nothing around it


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

    __post_init__ = check_verdict  # type: ignore[misc]  # compiled, and nothing around it
