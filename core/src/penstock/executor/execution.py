"""A call that is tried again where that may help: attempts, and the pauses between them.

Whether and after how long is decided in `retries.py`; each attempt has a lease of its own, and a pause has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, TypeVar

import attrs

from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.consequences import Consequences
from penstock.executor.gate import RequestGate
from penstock.executor.lone_refusals import ALONE_MOST
from penstock.executor.retries import Retries, RetryRules
from penstock.executor.retry_budget import RetryBudget
from penstock.executor.thread_work import only_begun
from penstock.requests.items import RequestAdmissionError
from penstock.requests.own_failures import surely_unpaid
from penstock.words.checks import shown
from penstock.words.errors import ConfigError
from penstock.words.failures import FailureMark, mark_failure, note_on
from penstock.words.identity import RequestResourceKey

if TYPE_CHECKING:
    from random import Random

__all__ = ["Executions", "Tries"]

R = TypeVar("R")


@attrs.define(eq=False)
class Tries:
    """The tries of one call: what it may have, and how the last one ended."""

    retries: Retries
    idempotency_key: str | None
    last: Exception | None = None
    kind: str = ""
    pause: float = 0.0


class Executions:
    """The calls with retries of one executor, by the `rules` of the run; `rng` is for the jitter of pauses."""

    def __init__(self, gate: RequestGate, consequences: Consequences, rules: RetryRules, rng: Random) -> None:
        self._gate = gate
        self._consequences = consequences
        self._rules = rules
        self._rng = rng
        self._budgets: dict[str, RetryBudget] = {}
        """By provider, where retries are bounded."""

    def set_rules(self, rules: RetryRules) -> None:
        """Set the rules of calls that have not been made yet. What is left of budgets stays."""
        self._rules = rules
        self._consequences.asked_max = rules.asked_max
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
        self, call: Callable[[Attempt], Awaitable[R]], next_attempt: Callable[[], AttemptContext], tries: Tries
    ) -> R:
        """What `call` returns; as `ModelRequestExecutor.execute`."""
        while True:
            attempt: Attempt | None = None
            try:
                async with next_attempt() as attempt:
                    self._begin(attempt, tries)
                    return await _called(call, attempt)
            except Exception as error:
                raised = self._raised(attempt, error, tries)
                if raised is error:
                    raise
                if raised is not None:
                    raise raised from error
            if attempt is not None:
                await self._pause_before_next(attempt, tries)

    def execute_from_thread(
        self, call: Callable[[Attempt], R], next_attempt: Callable[[], AttemptContext], tries: Tries
    ) -> R:
        """The same for code in another thread, in which `call` runs: each step is one of the run's own."""
        run, instead = self._gate.run, "execute"
        while True:
            attempt: Attempt | None = None
            try:
                with next_attempt() as attempt:
                    run.call(instead, self._begin, attempt, tries)
                    return _returned(call, attempt)
            except Exception as error:
                raised = run.call(instead, self._raised, attempt, error, tries)
                if raised is error:
                    raise
                if raised is not None:
                    raise raised from error
            if attempt is not None:
                run.wait_for(instead, self._pause_before_next, attempt, tries)

    def _begin(self, attempt: Attempt, tries: Tries) -> None:
        attempt.idempotency_key = tries.idempotency_key
        attempt.stands_alone = tries.retries.stands_alone

    def _raised(self, attempt: Attempt | None, error: Exception, tries: Tries) -> Exception | None:
        """What is to be raised after a try that failed with `error`; `None` where there is another."""
        last = tries.last
        if attempt is None and last is not None and isinstance(error, RequestAdmissionError):
            note_on(last, f"not tried again: {error}")
            mark_failure(last, FailureMark(tries.kind, retryable=False))
            return last
        if attempt is None or attempt.outcome is None:
            return error
        pause = self._pause_after(attempt, error, tries.retries)
        if pause is None:
            mark_failure(error, FailureMark(attempt.outcome.kind, retryable=False))
            return error
        tries.last, tries.kind, tries.pause = error, attempt.outcome.kind, pause
        return None

    async def _pause_before_next(self, attempt: Attempt, tries: Tries) -> None:
        known, item = self._consequences, attempt.lease.item
        if tries.retries.steps_back and known.others_wait(item.resource):
            await known.step_back(item, tries.pause)
        elif tries.pause > 0:
            await known.pauses.pause(str(item.resource), self._gate.now() + tries.pause)

    def _pause_after(self, attempt: Attempt, error: Exception, retries: Retries) -> float | None:
        """Seconds until the next attempt, if there is one. What failed for want of something of ours is tried again
        as soon as new calls begin.
        """
        outcome, now = attempt.outcome, self._gate.now()
        assert outcome is not None
        item, known = attempt.lease.item, self._consequences
        if outcome.short_of:
            return 0.0 if item.deadline is None or known.hold.until <= item.deadline else None
        pause = retries.pause_after(
            outcome,
            now,
            held_back=not attempt.stands_alone and known.held_back(item.resource, now),
            unpaid=surely_unpaid(error),
            passed_at=self._gate.controller.answered_at(item.resource),
        )
        if retries.given_up:
            note_on(error, f"not tried again: refused {ALONE_MOST} times in a row, while other calls passed")
        return pause

    def _budget_of(self, key: RequestResourceKey) -> RetryBudget | None:
        share = self._rules.budget
        if share is None or not self._gate.may_know(key.provider_model):
            return None
        provider = key.provider_name
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = RetryBudget(share)
        return budget


def _returned(call: Callable[[Attempt], R], attempt: Attempt) -> R:
    """What a plain function returns. Raises `ConfigError` for what has only been begun by being called."""
    found = call(attempt)
    if only_begun(call, found):
        raise ConfigError(
            f"call must be a plain function in a thread; {shown(call)} returned {type(found).__name__}, and nothing "
            f"was called. Write `def`, or have an async function called by penstock.execute"
        )
    return found


async def _called(call: Callable[[Attempt], Awaitable[R]], attempt: Attempt) -> R:
    begun: object = call(attempt)
    if not isawaitable(begun):
        raise ConfigError(
            f"call must be an async function; {shown(call)} returned {type(begun).__name__}. Write `async def`, or "
            f"have a plain function called by execute_from_thread in a thread"
        )
    found: R = await begun
    return found
