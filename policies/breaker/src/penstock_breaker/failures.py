"""Whether a call that ended counts as failed, as answered, or not at all; and what to call a failure.

failed     a 5xx, a connection that broke or could not be made, a timeout after the call went out; an answer that
           took longer than `slow_seconds`; a rate limit, if rate limits are to count
answered   a success, or an error that is the call's own fault (a 4xx), or a refusal for good: the endpoint is well
neither    what ended on our side, what never went out, an exception of the caller's own code, a rate limit
"""

from __future__ import annotations

from penstock import RequestReleaseOutcome
from penstock_breaker.config import BreakerConfig

__all__ = ["failed", "last_failure"]


def failed(outcome: RequestReleaseOutcome, seconds: float, config: BreakerConfig) -> bool | None:
    """Whether a call that was out for `seconds` failed; `None`: it says nothing of the endpoint."""
    if not outcome.went_out:
        return None
    if outcome.of is not None:
        return False
    if outcome.kind == "rate_limited":
        return True if config.count_rate_limits else None
    if outcome.kind == "provider_timeout":
        return True
    if outcome.kind == "provider_failure":
        return outcome.status is None or not 400 <= outcome.status < 500
    if outcome.kind == "success":
        return 0 < config.slow_seconds < seconds
    return None


def last_failure(outcome: RequestReleaseOutcome, seconds: float) -> str:
    """The failure in a few words: `status 500`, `ConnectionError`, `provider timeout`, `took 12.0 s`."""
    if outcome.kind == "success":
        return f"took {seconds:.1f} s"
    if outcome.status is not None:
        return f"status {outcome.status}"
    return outcome.detail or outcome.kind.replace("_", " ")
