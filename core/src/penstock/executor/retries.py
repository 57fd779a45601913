"""Whether a call is tried again, and after how long. Pure: the executor does the waiting, without a lease.

A rate limit uses up no attempt, and admission paces what comes next: the cooldown holds the next attempt
back. Only where nothing does (no limiter knows of a cooldown) is the pause made here, or the provider would
be asked without end. A call that alone is refused while others pass is given up: it asks for what it cannot get. What
surely cost nothing (`own_failures.py`) uses up no attempt either, and is tried until the deadline, or for a time.
Everything else that may pass (5xx, timeouts) uses up an attempt and backs off
exponentially: the pause doubles up to a maximum, and half of it is random ("equal jitter", M. Brooker,
"Exponential Backoff and Jitter", AWS Architecture Blog, 2015), so that calls that failed together do not come
back together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from penstock.executor.lone_refusals import LoneRefusals
from penstock.executor.retry_budget import RetryBudget
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.checks import a_figure, whole_number
from penstock.words.errors import ConfigError

if TYPE_CHECKING:
    from random import Random

__all__ = ["MAY_PASS", "Retries", "RetryRules"]

MAY_PASS: Final = frozenset({"rate_limited", "provider_failure", "provider_timeout"})
"""After these a call is tried again, if nothing else is said."""

RETRYABLE: Final = MAY_PASS | {"unexpected_exception"}
"""After these it can be: what ended otherwise was done, or was not the provider's affair."""

FLOOR: Final = 0.05
"""Seconds; doubled with each refusal in a row, the least pause after a wait that proved too short."""
LONGEST_FLOOR: Final = 1.0


@attrs.frozen(kw_only=True)
class RetryRules:
    """The rules of a run: `max_attempts` ≥ 1, rate limits not counted; `backoff` is the first pause and `backoff_max`
    the longest, in seconds.

    `kinds` are the outcomes after which a call is tried again; a `provider_failure` only where it may pass (5xx).
    `asked_max`: no pause is longer, whatever a provider asks for; `unpaid_timeout`: how long a call without a deadline
    is tried again after failures that surely cost nothing. `budget` (0 to 1): the share of all calls at a provider that
    may be retries; `None`: no bound.
    """

    max_attempts: int = 4
    backoff: float = 1.0
    backoff_max: float = 30.0
    kinds: frozenset[str] = MAY_PASS
    budget: float | None = None
    asked_max: float = 300.0
    unpaid_timeout: float = 120.0

    def __attrs_post_init__(self) -> None:
        whole_number(self.max_attempts, "max_attempts")
        a_figure(self.backoff, "retry_backoff")
        a_figure(self.backoff_max, "retry_backoff_max")
        a_figure(self.asked_max, "retry_after_max")
        wrong = sorted(self.kinds - RETRYABLE)
        if wrong:
            raise ConfigError(f"retry_on must name some of {', '.join(sorted(RETRYABLE))}; {wrong[0]!r} is none")
        if self.budget is not None and a_figure(self.budget, "retry_budget") > 1:
            raise ConfigError(f"retry_budget must be a share of all calls from 0 to 1, not {self.budget!r}")


class Retries:
    """The retries of one call."""

    def __init__(
        self, rules: RetryRules, rng: Random, deadline: float | None = None, budget: RetryBudget | None = None
    ) -> None:
        """`budget` is the one that all calls of the provider share, if there is one."""
        self._rules = rules
        self._budget = budget
        if budget is not None:
            budget.called()
        self._rng = rng
        self._deadline = deadline
        self._failed = 0
        self._rate_limited = 0
        self._refusals = LoneRefusals()
        self._unpaid = 0
        self._unpaid_since = 0.0

    @property
    def stands_alone(self) -> bool:
        """Whether it has been refused so often while others passed that its refusals say nothing of the limits."""
        return self._refusals.stands_alone

    @property
    def steps_back(self) -> bool:
        """Whether others that wait go first."""
        return self._refusals.steps_back

    @property
    def given_up(self) -> bool:
        """Whether it has been refused too often while others passed to be tried again."""
        return self._refusals.given_up

    def pause_after(
        self,
        outcome: RequestReleaseOutcome,
        now: float,
        *,
        held_back: bool,
        unpaid: bool = False,
        passed_at: float | None = None,
    ) -> float | None:
        """Seconds to wait before the next attempt; `None`: there is none.

        `held_back`: admission knows of a cooldown and lets the next attempt go out when it is over. `unpaid`: it surely
        cost nothing. `passed_at`: when the latest call at the same resource went out that was answered.
        """
        if not self._may_pass(outcome):
            return None
        asked = None if outcome.retry_after_seconds is None else min(outcome.retry_after_seconds, self._rules.asked_max)
        if outcome.kind == "rate_limited":
            self._refusals.refused(now, passed_at)
            self._rate_limited += 1
            self._unpaid = 0
            if self.given_up:
                return None
            if held_back:
                return 0.0
            pause = self._backoff(self._rate_limited) if asked is None else asked
            if self._rate_limited > 1:  # what was asked for has proved too short
                pause = max(pause, min(FLOOR * 2.0 ** min(self._rate_limited, 64), LONGEST_FLOOR))
        elif unpaid:
            self._refusals.forget()
            self._rate_limited = 0
            self._unpaid_since = now if self._unpaid == 0 else self._unpaid_since
            self._unpaid += 1
            pause = self._backoff(self._unpaid)
            if self._deadline is None and now + pause > self._unpaid_since + self._rules.unpaid_timeout:
                return None
        else:
            self._refusals.forget()
            self._rate_limited = self._unpaid = 0
            self._failed += 1
            if self._failed >= self._rules.max_attempts:
                return None
            pause = max(self._backoff(self._failed), asked or 0.0)
        if self._deadline is not None and now + pause > self._deadline:
            return None
        if outcome.kind != "rate_limited" and not unpaid and self._budget is not None and not self._budget.take():
            return None
        return pause

    def _may_pass(self, outcome: RequestReleaseOutcome) -> bool:
        return outcome.kind in self._rules.kinds and (outcome.retryable or outcome.kind not in MAY_PASS)

    def _backoff(self, time: int) -> float:
        # 2.0 ** 64 and more seconds are beyond any maximum, and beyond a float in the end
        full = min(self._rules.backoff_max, self._rules.backoff * 2.0 ** min(time - 1, 64))
        return full * (0.5 + 0.5 * self._rng.random())
