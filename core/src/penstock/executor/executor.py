"""The one place where calls go out: attempts, retries, and who may call what.

    attempt    one lease, one classified release
    execute    attempts until one succeeds or it is not worth trying again
    register   models and their caps

The waiting is in `gate.py`, how an attempt ends in `attempt.py`, whether it is tried again in `retries.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import trio

from penstock.events.correlation import current_correlation
from penstock.events.records import EventStream
from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.gate import RequestGate
from penstock.executor.retries import Retries, RetryRules
from penstock.executor.retry_budget import RetryBudget
from penstock.requests.admission import RequestAdmissionController
from penstock.requests.deciding import RequestRule
from penstock.requests.events import RequestTelling
from penstock.requests.items import (
    ONE_REQUEST,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestEventContext,
    RequestGroupSpec,
)
from penstock.requests.outcomes import SUCCESS, RequestReleaseOutcome, classify
from penstock.requests.registry import MakeLimiters
from penstock.requests.response import ResponseFacts
from penstock.words.failures import FailureMark, mark_failure
from penstock.words.identity import RequestDomain, RequestResourceKey, RequestResourceResolver
from penstock.words.settings import Settings

if TYPE_CHECKING:
    from random import Random

__all__ = ["ModelRequestExecutor"]

R = TypeVar("R")

OutcomeRule = Callable[["ResponseFacts | None", "BaseException | None"], "RequestReleaseOutcome | None"]

_log: Final = logging.getLogger("penstock.requests")
_NO_RULES: Final = RetryRules()


class ModelRequestExecutor(RequestGate):
    """Admits calls, waits where they must wait, and releases their leases. Use it as `async with executor:`.

    `resolver`            turns `"provider/model"` into keys; one of its own if none is given
    `classify`            plugins' opinion on how a call ended; `None` from it, or no rule, leaves it to
                          `outcomes.classify`
    `retries`             how often and after how long `execute` tries again
    `queue_wait_timeout`  how long `attempt` waits for a lease at most, in seconds, where the call does not say
    `default_cap`         the cap of a model that nobody configured, given at its first call; without one such
                          a call is refused
    `rng`                 random numbers for the jitter of retries
    `wall`                the time of day at a moment of the run's clock, for `Retry-After` dates in answers
                          without a date
    """

    def __init__(
        self,
        controller: RequestAdmissionController,
        events: EventStream,
        *,
        resolver: RequestResourceResolver | None = None,
        classify: OutcomeRule | None = None,
        retries: RetryRules = _NO_RULES,
        queue_wait_timeout: float | None = None,
        default_cap: int | None = None,
        rng: Random | None = None,
        wall: Callable[[float], datetime] | None = None,
        attempt_prefix: str = "attempt-",
    ) -> None:
        super().__init__(controller, events, default_cap=default_cap)
        self.resolver = RequestResourceResolver() if resolver is None else resolver
        self._tell = RequestTelling(events)
        self._outcome_rule = classify
        self._retries = retries
        self._budgets: dict[str, RetryBudget] = {}
        """By provider, where retries are bounded."""
        self._queue_wait_timeout = queue_wait_timeout
        self._rng = Settings().rng("request-retries") if rng is None else rng
        self._wall = wall
        self._attempt_prefix = attempt_prefix
        self._attempts = 0

    # -- attempts --

    def attempt(
        self,
        resource: RequestResourceKey | str,
        *,
        domain: str = RequestDomain.CHAT,
        cost: RequestCost = ONE_REQUEST,
        group: RequestGroupSpec | str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> AttemptContext:
        """`async with` around one call: waits for its lease, and releases it with how the call ended.

        `timeout` bounds the wait for the lease, in seconds (0: now or never); `deadline` is the moment of the
        run's clock by which the call must have started. Raises `RequestAdmissionError` where the lease is
        refused. `domain` counts only with a name.
        """
        return AttemptContext(self, self._item(resource, domain, cost, group, timeout, deadline))

    async def execute(
        self,
        call: Callable[[Attempt], Awaitable[R]],
        resource: RequestResourceKey | str,
        *,
        domain: str = RequestDomain.CHAT,
        cost: RequestCost = ONE_REQUEST,
        group: RequestGroupSpec | str | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """What `call(attempt)` returns, tried again where that may help. Each attempt has a lease of its own.

        `idempotency_key` is handed to every attempt (`attempt.idempotency_key`), to be sent with the call, so
        that the provider can tell a retry from a new call. Rate limits use up no attempt. Raises the call's last
        exception when it is not worth trying again, or when attempts, deadline or the retry budget have run out;
        `RequestAdmissionError` if not even the first attempt could start.
        """
        rules = self._retries
        if max_attempts is not None:
            rules = attrs.evolve(rules, max_attempts=max_attempts)
        retries = Retries(rules, self._rng, deadline, self._budget_of(resource, domain))
        last: Exception | None = None
        kind = ""
        while True:
            attempt: Attempt | None = None
            try:
                async with self.attempt(
                    resource, domain=domain, cost=cost, group=group, timeout=timeout, deadline=deadline
                ) as attempt:
                    attempt.idempotency_key = idempotency_key
                    return await call(attempt)
            except Exception as error:
                if attempt is None and last is not None and isinstance(error, RequestAdmissionError):
                    last.add_note(f"not tried again: {error}")
                    mark_failure(last, FailureMark(kind, retryable=False))
                    raise last from error
                if attempt is None or attempt.outcome is None:
                    raise
                pause = retries.pause_after(
                    attempt.outcome, self.now(), held_back=self._held_back(attempt.lease.item.resource)
                )
                if pause is None:
                    mark_failure(error, FailureMark(attempt.outcome.kind, retryable=False))
                    raise
                last, kind = error, attempt.outcome.kind
            if pause > 0:
                await trio.sleep(pause)

    def _budget_of(self, resource: RequestResourceKey | str, domain: str) -> RetryBudget | None:
        share = self._retries.budget
        if share is None:
            return None
        key = self.resolver.resolve(resource, domain) if isinstance(resource, str) else resource
        provider = key.provider_name
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = RetryBudget(share)
        return budget

    def classify(self, facts: ResponseFacts | None, error: BaseException | None) -> RequestReleaseOutcome:
        """How a call ended: what the plugins say, else what follows from the facts and the error."""
        if facts is None and error is None:
            return SUCCESS
        if self._outcome_rule is not None:
            try:
                outcome = self._outcome_rule(facts, error)
            except Exception:
                _log.exception("penstock_classify_outcome raised; the core's own classification holds")
            else:
                if outcome is not None:
                    return outcome
        return classify(facts, error, wall_now=None if self._wall is None else self._wall(self.now()))

    def begin_attempt(self, lease: RequestAdmissionLease) -> float:
        """Tell that a call goes out; when that is. For `Attempt`."""
        now = self.now()
        if self._events.active:
            self._tell.started(lease, now)
            self._events.deliver()
        return now

    def end_attempt(self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, elapsed: float) -> None:
        """Tell that a call has ended, and give its lease back. For `Attempt`."""
        if self._events.active:
            self._tell.completed(lease, outcome, elapsed, self.now())
        self.release(lease, outcome)

    def register(
        self,
        provider_name: str,
        model_id: str,
        *,
        cap: int | Mapping[str, int],
        aliases: Iterable[str] = (),
        domain_caps: Mapping[str, int] | None = None,
        domains: Iterable[str] = (),
    ) -> None:
        """Make a model known, or give it another cap; at any time. `cap` may map aliases to caps: the
        smallest holds.
        """
        now = self.now()
        aliases, domains = tuple(aliases), (*domains, *(domain_caps or {}))
        for alias in (*aliases, *(cap if isinstance(cap, Mapping) else ())):
            if alias != model_id:
                self.resolver.add_alias(provider_name, alias, model_id=model_id)
        self.resolver.add_domains(provider_name, domains)
        effects = self._controller.register(
            provider_name, model_id, cap, now, aliases=aliases, domain_caps=domain_caps, domains=domains
        )
        self._deliver(effects, now)

    def reconfigure(
        self, make_limiters: MakeLimiters, *, rule: RequestRule | None = None, classify: OutcomeRule | None = None
    ) -> None:
        """Make all limiters anew, and take these rules; leases keep their limiters, and everybody in line is
        asked again.

        What the factory of a limiter raises leaves everything as it was.
        """
        now = self.now()
        self._deliver(self._controller.reconfigure(make_limiters, now, rule=rule), now)
        self._outcome_rule = classify

    # -- inside --

    def _held_back(self, resource: RequestResourceKey) -> bool:
        """Whether admission knows of a cooldown, so that it will hold the next attempt back by itself."""
        now = self.now()
        snapshot = self.pressure.snapshot(resource, now)
        return snapshot is not None and snapshot.blocked_until is not None and snapshot.blocked_until > now

    def _item(
        self,
        resource: RequestResourceKey | str,
        domain: str,
        cost: RequestCost,
        group: RequestGroupSpec | str | None,
        timeout: float | None,
        deadline: float | None,
    ) -> RequestAdmissionItem:
        key = self.resolver.resolve(resource, domain) if isinstance(resource, str) else resource
        spec = RequestGroupSpec(group) if isinstance(group, str) else group
        self._attempts += 1
        correlation = current_correlation()
        return RequestAdmissionItem(
            key,
            RequestGroupSpec(key) if spec is None else spec,
            cost,
            self._queue_wait_timeout if timeout is None else timeout,
            deadline,
            RequestEventContext(
                correlation,
                correlation.task_execution_id if correlation is not None else None,
                f"{self._attempt_prefix}{self._attempts}",
            ),
        )
