"""How a call ended, in the words that limiters understand.

A limiter may only learn from what the provider did. So what ended on our side (`local_cancelled`,
`local_timeout`) has kinds of its own, and `classify` (`classifying.py`) never makes a provider's failure of a local
refusal.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from penstock.requests.answer_checks import check_outcome
from penstock.requests.hints import Hints
from penstock.requests.verdict import Ended, LimitedBy, Of, OutcomeKind, Usage
from penstock.words.read_only import read_only

__all__ = ["SUCCESS", "RequestReleaseOutcome"]


@read_only
class RequestReleaseOutcome(Struct, frozen=True, kw_only=True, weakref=True):
    """The end of a call. `kind` is one of `OUTCOME_KINDS`; `retry_after_seconds` is what the provider asked
    for, if it did. `usage` is what the call really used, if the answer said; `went_out` is false for a call that
    was never sent, and so used nothing.

    `limited_by` is what a rate limit was about, `None` meaning unknown; `of` is set on a refusal for good, of this
    `call` or of the whole `account`: no limiter learns from it. `may_pass`: whether the same call may succeed later;
    `None`: as the kind and the status say. `ended` is how the answer ended.

    `elapsed` and `first_token_at` are seconds since the call went out; `hints` is what the answer reports of limits.
    """

    kind: OutcomeKind
    retry_after_seconds: float | None = None
    usage: Usage | None = None
    status: int | None = None
    detail: str = ""
    elapsed: float | None = None
    first_token_at: float | None = None
    hints: Hints | None = None
    went_out: bool = True
    limited_by: LimitedBy | None = None
    of: Of | None = None
    may_pass: bool | None = None
    ended: Ended | None = None

    __post_init__ = check_outcome  # type: ignore[misc]  # compiled, and nothing around it

    def measured(self, elapsed: float, usage: Usage | None) -> RequestReleaseOutcome:
        """The same, with the seconds that the call took and what it used, where it does not say so itself."""
        outcome: Any = self
        made: RequestReleaseOutcome = outcome.__copy__()  # msgspec has it, and its stubs do not
        if self.elapsed is None:
            force_setattr(made, "elapsed", elapsed)
        if self.usage is None:
            force_setattr(made, "usage", usage)
        return made

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later: rate limits, provider failures but for 4xx, and timeouts; never
        what was refused for good.
        """
        if self.of is not None:
            return False
        if self.may_pass is not None:
            return self.may_pass
        return self.kind in ("rate_limited", "provider_timeout") or (
            self.kind == "provider_failure" and (self.status is None or not 400 <= self.status < 500)
        )

    @property
    def short_of(self) -> str:
        """What of ours the call was never sent for want of: files, ports, memory; empty for every other end."""
        return (self.detail or "something of our own") if self.kind == "local_timeout" and not self.went_out else ""

    @property
    def limits_calls_in_flight(self) -> bool:
        """Whether it is a rate limit that fewer calls in flight might have avoided: one by places, by the provider's
        overload, or by nobody knows what. One by requests, by tokens or by a day's quota is no such limit.
        """
        return (
            self.kind == "rate_limited"
            and self.of is None
            and self.limited_by in (None, "places", "overload", "unknown")
        )


SUCCESS: Final = RequestReleaseOutcome(kind="success")
