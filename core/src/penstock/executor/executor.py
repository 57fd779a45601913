"""The one place where calls go out: attempts, retries, and who may call what.

    attempt    one lease, one classified release
    execute    attempts until one succeeds or it is not worth trying again
    register   models and their caps

The waiting is in `gate.py`, how an attempt ends in `attempt.py` and `classifier.py`, the retries in `execution.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack

import attrs
import trio

from penstock.events.records import EventStream
from penstock.executor.asking import Asking, OnTurn
from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.call_items import CallItems, CallOptions, Resources
from penstock.executor.caller_input import check_caps, check_end
from penstock.executor.classifier import OutcomeClassifier, OutcomeRule
from penstock.executor.consequences import Consequences
from penstock.executor.execution import Executions, Tries
from penstock.executor.gate import RequestGate
from penstock.executor.retries import RetryRules
from penstock.executor.waiting_attempt import WaitingAttempt
from penstock.requests.admission import RequestAdmissionController
from penstock.requests.deciding import RequestRule
from penstock.requests.hints import Hints
from penstock.requests.items import (
    RequestAdmissionDenied,
    RequestAdmissionItem,
    RequestAdmissionLease,
)
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.pressure import RequestPressureSnapshotProvider
from penstock.requests.reconfiguring import RequestGatePlan
from penstock.requests.registry import MakeLimiters
from penstock.requests.standing import RequestExplanation, held_calls
from penstock.words.checks import a_moment, a_name, an_instance, names, shown, whole_number
from penstock.words.errors import ConfigError
from penstock.words.given_up import GivenUpModel
from penstock.words.identity import (
    ProviderModelKey,
    RequestDomain,
    RequestResourceKey,
    RequestResourceResolver,
)
from penstock.words.plugin_failures import OnPluginFailure, unheard
from penstock.words.settings import Settings

if TYPE_CHECKING:
    from random import Random

__all__ = ["ModelRequestExecutor"]

R = TypeVar("R")

_NO_RULES: Final = RetryRules()


class ModelRequestExecutor:
    """The calls of a run: admitted, waited for where they must wait, retried, and released. Use it as
    `async with executor:`.

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
    `on_failure`          is called with what the waiter queue or `classify` raises
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
        on_failure: OnPluginFailure = unheard,
    ) -> None:
        self.controller = controller
        """What decides; whatever changes it must go through the executor."""
        self.gate = gate = RequestGate(controller, events, default_cap=default_cap, on_failure=on_failure)
        """The gate that all calls go through."""
        wall_now = None if wall is None else lambda: wall(gate.now())
        self._classifier = OutcomeClassifier(classify, wall_now, on_failure)
        self.resolver = RequestResourceResolver() if resolver is None else resolver
        self._items = CallItems(self.resolver, queue_wait_timeout, attempt_prefix)
        self._consequences = Consequences(gate, retries.asked_max)
        self._asking = Asking(gate.steps, self._classifier.classify, self._consequences)
        generator = Settings().rng("request-retries") if rng is None else rng
        self._executions = Executions(gate, self._consequences, retries, generator)

    # -- the block --

    async def __aenter__(self) -> Self:
        await self.gate.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.gate.__aexit__(kind, error, trace)

    def close(self) -> None:
        """The end of admission: who waits or asks is refused with `shutdown`. Calls that are out go on and release
        as ever.
        """
        self.gate.close()
        self._consequences.pauses.close()

    # -- leases --

    def acquire(self, item: RequestAdmissionItem) -> Coroutine[Any, Any, RequestAdmissionLease]:
        """A lease, as soon as it is this call's turn. Raises `RequestAdmissionError`, or trio's `Cancelled`.

        Checks for cancellation always, and lets other tasks run only if it has to wait.
        """
        self._items.check_call(item)
        return self.gate.acquire(item)  # no coroutine of its own, in which an interrupt could lose the lease

    def try_acquire(self, item: RequestAdmissionItem) -> RequestAdmissionLease | RequestAdmissionDenied:
        """A lease now, or why not."""
        self._items.check_call(item)
        return self.gate.try_acquire(item)

    def acquire_from_thread(self, item: RequestAdmissionItem) -> RequestAdmissionLease:
        """`acquire` for code in another thread; blocks it. In a thread that trio started, cancelling its
        task ends the wait.
        """
        self._items.check(item)
        return self.gate.run.wait_for("await acquire", self.gate.acquire, item)

    def release(self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome) -> bool:
        """Whether the lease was out; it is given back. Never raises for a lease that is not out."""
        check_end(lease, outcome)
        return self.gate.release(lease, outcome)

    def release_from_thread(self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome) -> bool:
        """`release` for code in another thread."""
        check_end(lease, outcome)
        return self.gate.run.call("release", self.gate.release, lease, outcome)

    def observe(self, lease: RequestAdmissionLease, hints: Hints) -> None:
        """An answer's hints for the limiters of its lease, before that is released."""
        an_instance(lease, RequestAdmissionLease, "lease")
        self.gate.observe(lease, an_instance(hints, Hints, "hints"))

    # -- attempts --

    def attempt(
        self, resource: Resources, *, repeats: Hashable = None, **options: Unpack[CallOptions]
    ) -> AttemptContext:
        """The block of one call: `async with` waits for its lease, and releases it with how the call ended; `with` in
        another thread than the run's.

        Options as `penstock.request`; `domain` counts only with a name. Where somebody above tries calls again,
        `repeats` is equal for all attempts at the same call in one task: what the attempts before have shown holds for
        the next one. Raises `ConfigError` for a wrong option, and `RequestAdmissionError` where the lease is refused.
        """
        items = self.gate.run.here(self._items.items, resource, options)
        return AttemptContext(self.gate, self._classifier.classify, self._consequences, items, repeats)

    @trio.lowlevel.enable_ki_protection  # as in `gate.py`
    def ask(self, resource: Resources, on_turn: OnTurn, **options: Unpack[CallOptions]) -> Attempt | WaitingAttempt:
        """An attempt now, if its lease is free; else the wait for it, at whose end `on_turn` is called with the
        attempt, or with the error that says why there is none: for shells that are not a task per call.

        It is called from within the step of the run that freed the way, and may ask and release itself. The attempt is
        detached: `attempt.detach().release()` ends it, by the rules of `attempt`. Nobody else does, so whoever loses it
        loses its place. What `on_turn` raises is logged, and ends nobody else's step. Options and errors as `attempt`;
        without `repeats`. Where new calls are held it raises `RequestAdmissionError` at once.
        """
        now = self.gate.run.now_to_change()
        if not callable(on_turn):
            raise ConfigError(f"on_turn must be a function of an attempt or an error, not {shown(on_turn)}")
        return self._asking.ask(self._items.items(resource, options), on_turn, now)

    async def execute(
        self,
        call: Callable[[Attempt], Awaitable[R]],
        resource: Resources | Callable[[], Resources],
        *,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> R:
        """What `call(attempt)` returns, tried again where that may help. Each attempt has a lease of its own.

        `resource` may be a function without arguments, which is asked for each attempt.
        `idempotency_key` is handed to every attempt (`attempt.idempotency_key`), to be sent with the call, so
        that the provider can distinguish a retry from a new call. Rate limits use up no attempt. Raises the call's last
        exception when it is not worth trying again, or when attempts, deadline or the retry budget have run out;
        `RequestAdmissionError` if not even the first attempt could start.
        """
        if not callable(call):
            raise ConfigError(f"call must be an async function that takes the attempt, not {shown(call)}")
        chosen, tries = self._tries(resource, max_attempts, idempotency_key, options)
        return await self._executions.execute(call, lambda: self.attempt(chosen(), **options), tries)

    def execute_from_thread(
        self,
        call: Callable[[Attempt], R],
        resource: Resources | Callable[[], Resources],
        *,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> R:
        """`execute` for code in another thread, which it blocks: `call` is a plain function and runs in that thread."""
        if not callable(call):
            raise ConfigError(f"call must be a function that takes the attempt, not {shown(call)}")
        run = self.gate.run
        chosen, tries = run.call("execute", self._tries, resource, max_attempts, idempotency_key, options)
        return self._executions.execute_from_thread(
            call, lambda: self.attempt(run.call("execute", chosen), **options), tries
        )

    def _tries(
        self,
        resource: Resources | Callable[[], Resources],
        max_attempts: int | None,
        idempotency_key: str | None,
        options: CallOptions,
    ) -> tuple[Callable[[], list[RequestResourceKey]], Tries]:
        """Who serves the next attempt, and the tries that a call has. Raises `ConfigError` for wrong options."""
        if idempotency_key is not None:
            a_name(idempotency_key, "idempotency_key")
        deadline = options.get("deadline")
        if deadline is not None:
            a_moment(deadline, "deadline")
        domain = options.pop("domain", RequestDomain.CHAT)
        asked_anew = resource if callable(resource) else None
        keys = self._items.keys(resource() if callable(resource) else resource, domain)
        tries = Tries(self._executions.retries_for(keys[0], deadline, max_attempts), idempotency_key)
        if asked_anew is None:
            return lambda: keys, tries
        first = [keys]  # what was asked just now is for the first attempt: once for each, so that turns can be taken
        return lambda: first.pop() if first else self._items.keys(asked_anew(), domain), tries

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
        """Make a model known, or give it another cap (1 to 1,000,000); at any time. `cap` may map aliases to caps: the
        smallest holds. Raises `ConfigError`, and then nothing has changed.
        """
        self.gate.now()  # outside the block or in another thread nothing is changed
        for what, name in (("provider_name", provider_name), ("model_id", model_id)):
            a_name(name, what)
        caps = check_caps(cap, domain_caps)
        aliases, domains = names(aliases, "aliases"), (*names(domains, "domains"), *caps)
        others = [alias for alias in (*aliases, *(cap if isinstance(cap, Mapping) else ())) if alias != model_id]
        for alias in others:
            self.resolver.check_alias(provider_name, alias, model_id=model_id)
        self.gate.register(provider_name, model_id, cap, aliases=aliases, domain_caps=caps, domains=domains)
        for alias in others:
            self.resolver.add_alias(provider_name, alias, model_id=model_id)
        self.resolver.add_domains(provider_name, domains)

    def register_unconfigured(self, provider_name: str, model_id: str, *, cap: int) -> None:
        """Make a model known with this cap that no configuration can be expected to name, if it is not.

        Of such models some hundreds are kept: then those that are idle make room. Raises as `register`.
        """
        self.gate.now()
        key = ProviderModelKey(a_name(provider_name, "provider_name"), a_name(model_id, "model_id"))
        self.gate.steps.register_unconfigured(key, whole_number(cap, "cap"))

    def reconfigure(
        self, make_limiters: MakeLimiters, *, rule: RequestRule | None = None, classify: OutcomeRule | None = None
    ) -> None:
        """Put new limiters and rules in place; leases keep their limiters, and everybody who waits is asked again.

        What the factory of a limiter raises leaves everything as it was.
        """
        self.gate.now()
        self.carry_out(self.controller.plan(make_limiters, rule=rule), classify)

    def carry_out(self, plan: RequestGatePlan, classify: OutcomeRule | None = None) -> None:
        """Change the request gate as its `controller` has planned."""
        self.gate.carry_out(plan)
        self._classifier.rule = classify

    def set_figures(self, retries: RetryRules, queue_wait_timeout: float | None, stall_timeout: float) -> None:
        """Set the figures of `[requests]`, the first two for calls that have not been made yet. What is left of retry
        budgets stays.
        """
        self.controller.failing.stall_timeout = stall_timeout
        self._executions.set_rules(retries)
        self._items.queue_wait_timeout = queue_wait_timeout

    def signal(self, name: str) -> None:
        """End the refusals that wait for the signal `name`."""
        a_name(name, "name")
        self.gate.signal(name)

    def before_calls(self, check: Callable[[], None] | None) -> None:
        """Set the check that is called before each call, and what it raises is raised there; `None`: nothing is."""
        self._items.check_before_call = check

    # -- looking --

    def names(self) -> tuple[dict[str, Sequence[str]], dict[str, ProviderModelKey]]:
        """The providers that are known, with their domains, and the models by every name; as in `Settings`."""
        providers: dict[str, Sequence[str]] = {}
        models: dict[str, ProviderModelKey] = {}
        for key in self.controller.models:
            provider = key.provider_name
            providers[provider] = self.resolver.domains(provider)
            models |= {f"{provider}/{name}": key for name in (key.model_id, *self.resolver.aliases(key))}
        return providers, models

    @property
    def pressure(self) -> RequestPressureSnapshotProvider:
        """How busy each resource is; read-only."""
        return self.controller.pressure

    @property
    def leases(self) -> tuple[int, int]:
        """Leases issued and leases returned."""
        return self.controller.leases

    @property
    def calls_pausing(self) -> int:
        """How many calls pause after a failed attempt, or are held, and have not gone out."""
        return len(self._consequences.pauses)

    def explain(self) -> str:
        """What waiting calls wait for, per resource, and the pauses of retries."""
        return str(self.explanation())

    @trio.lowlevel.enable_ki_protection  # as in `gate.py`
    def explanation(self) -> RequestExplanation:
        """The same as records."""
        now = self.gate.now()
        pauses = self._consequences.pauses
        standing = self.controller.explanation(now, pauses.after_failures)
        return attrs.evolve(standing, held=held_calls(pauses.held, now), given_up=self.given_up())

    def given_up(self, *, at_present: bool = True) -> tuple[GivenUpModel, ...]:
        """The models to which no call goes out for a time, since their provider refuses the account; or all that
        ever were given up.
        """
        return self._consequences.accounts.given_up(self.gate.now(), at_present=at_present)

    def now(self) -> float:
        """The run's clock. Raises `RuntimeError` in any thread but the run's own, and before the executor is
        entered.
        """
        return self.gate.now()
