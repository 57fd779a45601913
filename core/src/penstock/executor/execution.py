"""A call that is tried again where that may help: attempts, and the pauses between them.

Whether and after how long is decided in `retries.py`; each attempt has a lease of its own, and a pause has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.gate import RequestGate
from penstock.executor.retries import Retries, RetryRules
from penstock.executor.retry_budget import RetryBudget
from penstock.requests.items import RequestAdmissionError
from penstock.words.failures import FailureMark, mark_failure, note_on
from penstock.words.identity import RequestResourceKey

if TYPE_CHECKING:
    from random import Random

__all__ = ["Executions"]

R = TypeVar("R")


class Executions:
    """The calls with retries of one executor, by the `rules` of the run; `rng` is for the jitter of pauses."""

    def __init__(self, gate: RequestGate, rules: RetryRules, rng: Random) -> None:
        self._gate = gate
        self._rules = rules
        self._rng = rng
        self._budgets: dict[str, RetryBudget] = {}
        """By provider, where retries are bounded."""
        self.pauses: dict[object, tuple[str, float]] = {}
        """The pauses after failed attempts: resource and the moment of the end."""

    def set_rules(self, rules: RetryRules) -> None:
        """Set the rules of calls that have not been made yet. What is left of budgets stays."""
        self._rules = rules
        if rules.budget is None:
            self._budgets.clear()
        else:
            for budget in self._budgets.values():
                budget.set_share(rules.budget)

    def retries_for(self, key: RequestResourceKey, deadline: float | None, max_attempts: int | None) -> Retries:
        """The retries that one call may have. Raises `ConfigError` for a wrong number of attempts."""
        rules = self._rules
        if max_attempts is not None:
            rules = attrs.evolve(rules, max_attempts=max_attempts)
        return Retries(rules, self._rng, deadline, self._budget_of(key))

    async def execute(
        self,
        call: Callable[[Attempt], Awaitable[R]],
        next_attempt: Callable[[], AttemptContext],
        retries: Retries,
        idempotency_key: str | None,
    ) -> R:
        """What `call` returns; as `ModelRequestExecutor.execute`."""
        last: Exception | None = None
        kind = ""
        while True:
            attempt: Attempt | None = None
            try:
                async with next_attempt() as attempt:
                    attempt.idempotency_key = idempotency_key
                    return await call(attempt)
            except Exception as error:
                if attempt is None and last is not None and isinstance(error, RequestAdmissionError):
                    note_on(last, f"not tried again: {error}")
                    mark_failure(last, FailureMark(kind, retryable=False))
                    raise last from error
                if attempt is None or attempt.outcome is None:
                    raise
                pause = retries.pause_after(
                    attempt.outcome, self._gate.now(), held_back=self._held_back(attempt.lease.item.resource)
                )
                if pause is None:
                    mark_failure(error, FailureMark(attempt.outcome.kind, retryable=False))
                    raise
                last, kind = error, attempt.outcome.kind
            if pause > 0:
                await self._pause(attempt, pause)

    async def _pause(self, failed: Attempt, seconds: float) -> None:
        ends = self._gate.now() + seconds
        self.pauses[failed] = str(failed.lease.item.resource), ends
        try:
            await trio.sleep_until(ends)
        finally:
            del self.pauses[failed]

    def _held_back(self, resource: RequestResourceKey) -> bool:
        """Whether admission knows of a cooldown, so that it will hold the next attempt back by itself."""
        now = self._gate.now()
        snapshot = self._gate.controller.pressure.snapshot(resource, now)
        return snapshot is not None and snapshot.blocked_until is not None and snapshot.blocked_until > now

    def _budget_of(self, key: RequestResourceKey) -> RetryBudget | None:
        share = self._rules.budget
        if share is None or not self._gate.may_know(key.provider_model):
            return None
        provider = key.provider_name
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = RetryBudget(share)
        return budget
