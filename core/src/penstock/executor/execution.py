"""A call that is tried again where that may help: attempts, and the pauses between them.

Whether and after how long is decided in `retries.py`; each attempt has a lease of its own, and a pause has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from penstock.executor.accounts import RefusedAccounts
from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.gate import RequestGate
from penstock.executor.hold import Hold
from penstock.executor.retries import ALONE_MOST, Retries, RetryRules
from penstock.executor.retry_budget import RetryBudget
from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionError
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.own_failures import own_shortage, surely_unpaid
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

    def __init__(self, gate: RequestGate, rules: RetryRules, rng: Random) -> None:
        self._gate = gate
        self._rules = rules
        self._rng = rng
        self._budgets: dict[str, RetryBudget] = {}
        """By provider, where retries are bounded."""
        self._accounts = RefusedAccounts()
        self._hold = Hold()
        self._passed_at: dict[RequestResourceKey, float] = {}
        """When the latest call went out that was answered."""
        self._scopes: dict[trio.CancelScope, bool] = {}
        """Of pauses, and whether it is a hold of new calls."""
        self._closed = False
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
        self, call: Callable[[Attempt], Awaitable[R]], next_attempt: Callable[[], AttemptContext], tries: Tries
    ) -> R:
        """What `call` returns; as `ModelRequestExecutor.execute`."""
        while True:
            attempt: Attempt | None = None
            try:
                await self._while_held()
                async with next_attempt() as attempt:
                    self._begin(attempt, tries)
                    answer = await call(attempt)
                self._ended(attempt, answered=True)
                return answer
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
                run.wait_for(instead, self._while_held)
                with next_attempt() as attempt:
                    run.call(instead, self._begin, attempt, tries)
                    answer = call(attempt)
                run.call(instead, partial(self._ended, attempt, answered=True))
                return answer
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
        self._raise_if_given_up(attempt)

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
        if tries.pause > 0:
            await self._pause(attempt, str(attempt.lease.item.resource), self._gate.now() + tries.pause)

    def _pause_after(self, attempt: Attempt, error: Exception, retries: Retries) -> float | None:
        """Seconds until the next attempt, if there is one. What failed for want of something of ours is tried again
        as soon as new calls begin.
        """
        outcome, now = attempt.outcome, self._gate.now()
        assert outcome is not None
        resource = attempt.lease.item.resource
        if short_of := own_shortage(error):
            self._hold.begin(short_of, now)
            deadline = attempt.lease.item.deadline
            return 0.0 if deadline is None or self._hold.until <= deadline else None
        self._ended(attempt, answered=False)
        pause = retries.pause_after(
            outcome,
            now,
            held_back=not attempt.stands_alone and self._held_back(resource),
            unpaid=surely_unpaid(error),
            passed_at=self._passed_at.get(resource),
        )
        if retries.given_up:
            error.add_note(f"not tried again: refused {ALONE_MOST} times in a row, while other calls passed")
        return pause

    def _ended(self, attempt: Attempt, *, answered: bool) -> None:
        """An attempt has come to an end that was not for want of something of ours."""
        resource = attempt.lease.item.resource
        if attempt.outcome is not None and self._gate.may_know(resource.provider_model):
            self._accounts.ended(resource.provider_model, attempt.outcome, self._gate.now())
        if answered and self._gate.may_know(resource.provider_model):
            self._passed_at[resource] = max(attempt.started_at, self._passed_at.get(resource, attempt.started_at))
        if self._hold.until:
            self._hold.end(answered=answered)
            self.end_pauses(held_only=True)

    def _raise_if_given_up(self, attempt: Attempt) -> None:
        """Raises `RequestAdmissionError` where the provider refuses the account; the call does not go out."""
        item, now = attempt.lease.item, self._gate.now()
        denied = self._accounts.refusal(item.resource.provider_model, now)
        if denied is not None:
            attempt.finish(RequestReleaseOutcome(kind="local_cancelled", went_out=False, detail="given up"))
            raise RequestAdmissionError(RequestAdmissionDenied(item, denied, now))

    async def _while_held(self) -> None:
        while not self._closed and self._hold.until > self._gate.now():
            await self._pause(object(), f"new calls, {self._hold.why}", self._hold.until, held=True)

    async def _pause(self, of: object, what: str, ends: float, *, held: bool = False) -> None:
        if self._closed and not held:
            return  # the next attempt will be refused, and says why
        self.pauses[of] = what, ends
        try:
            with trio.CancelScope(deadline=ends) as scope:
                self._scopes[scope] = held
                await trio.sleep_forever()
        finally:
            del self.pauses[of], self._scopes[scope]

    def close(self) -> None:
        """No pause lasts any longer: what would be tried again is refused by the gate, which has shut."""
        self._closed = True
        self.end_pauses()

    def end_pauses(self, *, held_only: bool = False) -> None:
        """Who pauses goes on at once; or only those whose calls are held for want of something of ours."""
        for scope, held in self._scopes.items():
            if held or not held_only:
                scope.cancel()

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
