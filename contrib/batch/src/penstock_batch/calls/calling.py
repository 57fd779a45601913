"""One admitted call: it goes out, its answer is read to the end and kept, and what it means is told to all who learn.

A call goes out through `penstock.execute`, which admits each attempt and decides about trying again. The answer is with
the store before the attempt is over, with no checkpoint between the last byte and that, so no cancellation finds an
answer that was paid for and is not kept. The call holds its place until its answer is on the disk: so what a kill makes
to be paid for twice is what was out, and no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio
from msgspec.structs import replace

import penstock
from penstock import Usage, execute
from penstock_batch.calls.answers import Answered, BadAnswer, answer_of, error_line, failure_kind
from penstock_batch.calls.asking import Asked, asked_of
from penstock_batch.calls.judging import refuses
from penstock_batch.calls.model_use import CellFailed, ModelUse, NotServed
from penstock_batch.calls.outgoing import OutgoingCall
from penstock_batch.calls.place_use import Outgoing, PlaceUse
from penstock_batch.calls.spending import BudgetRefusal, OpenCall, Spending
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.models import StepModel
from penstock_batch.store.answer import Answer
from penstock_batch.words.failures import plain_reason
from penstock_batch.words.secrets import Secrets
from penstock_dialects import AnswerReader, cost_of
from penstock_wire import CannotConnect, WireError

if TYPE_CHECKING:
    from penstock import Attempt

__all__ = ["READERS", "CallFailed", "Calls", "Keep"]

READERS: Final = 8
"""Threads that read the files of calls."""

Keep = Callable[[Answer], Awaitable[None]]
"""Keeps an answer, and is over when it is on the disk. Raises `CellFailed` if it cannot be kept."""


class CallFailed(Exception):
    """The failure of one attempt, in one line. What it means for the gate is said by the facts or by the kind of
    exception; `for_good`: whether the provider refuses this call or the whole account. `at` is the place that does not
    serve us, if that is what it means: another may.
    """

    def __init__(self, reason: str, *, for_good: bool = False, at: str | None = None) -> None:
        super().__init__(reason)
        self.for_good = for_good
        self.at = at


def _kept_nowhere(step: str, cost: float) -> None:
    """What was paid for nothing, where no store keeps accounts."""


class _NoAnswer(CallFailed, ConnectionError):
    """A call without an answer: nothing listens there, or the connection broke."""


class _TooLate(CallFailed, TimeoutError):
    """A call without an answer in time."""


class Calls:
    """The calls of a run, by `models`. `on_limited` is called after each 429, `on_lost` with the step and what was paid
    where an answer cannot be used; `spending` holds calls to a budget.
    """

    def __init__(
        self,
        models: Mapping[str, ModelUse],
        tallies: Tallies,
        secrets: Secrets,
        *,
        on_limited: Callable[[], None],
        on_lost: Callable[[str, float], object] = _kept_nowhere,
        spending: Spending | None = None,
    ) -> None:
        self._models = models
        self._tallies = tallies
        self._secrets = secrets
        self._on_limited = on_limited
        self._on_lost = on_lost
        self._spending = spending
        self._reading = trio.CapacityLimiter(READERS)

    def use_of(self, step: Step) -> ModelUse:
        """The model of a step that calls one."""
        assert step.model is not None
        return self._models[step.model.name]

    async def call(self, step: Step, asked: Asked, keep: Keep) -> Answer:
        """The answer to what a step asks, which has been handed to `keep`: that of its model, or of the first fallback
        that serves it where those before do not. Raises `CellFailed`, `CellStopped`, or `RequestAdmissionError` where
        it is not admitted.
        """
        why: list[str] = []
        for model in step.models[:-1]:
            try:
                answer = await self._call(step, model, asked, keep)
            except NotServed as error:
                why.append(str(error))
                continue
            except CellFailed as error:
                raise _with_reasons(error, why) from None
            if not refuses(step, answer):
                return answer
            why.append(f"{model.name}: the answer is a refusal ({answer.ended})")
        try:
            return await self._call(step, step.models[-1], asked, keep)
        except CellFailed as error:
            raise _with_reasons(error, why) from None

    async def _call(self, step: Step, model: StepModel, asked: Asked, keep: Keep) -> Answer:
        """The answer of one model. Raises `NotServed` where another may answer."""
        use = self._models[model.name]
        use.check()
        if model is not step.model:
            asked = asked_of(step, model, asked)
        outgoing = OutgoingCall(step, asked, self._reading)
        tokens = outgoing.input_tokens(use.places[0])
        cost = penstock.RequestCost(input_tokens=tokens, output_tokens=asked.output_tokens)
        refused: set[str] = set()
        while True:
            with use.waiting() as scope:
                try:
                    async with self.paid_for(step, use, asked) as call:
                        attempt = partial(self._attempt, step, use, outgoing, scope, keep, call)
                        where = use.resource(step.kind, refused)
                        return await execute(attempt, where, domain=step.kind, cost=cost, group=step.name)
                except BudgetRefusal as error:
                    raise CellFailed(str(error)) from None
                except CallFailed as error:
                    if error.at is None or not use.left({*refused, error.at}):
                        served = not error.for_good and use.given_up is None
                        raise (CellFailed if served else NotServed)(str(error)) from None
                    refused.add(error.at)
            use.check()  # a place that it waited for, or that refused it, was given up: there are others

    def paid_for(self, step: Step, use: ModelUse, asked: Asked) -> AbstractAsyncContextManager[OpenCall | None]:
        """A block in which the budget, if there is one, holds the call."""
        return nullcontext() if self._spending is None else self._spending.call(step, use.model, asked.body)

    async def _attempt(
        self,
        step: Step,
        use: ModelUse,
        outgoing: OutgoingCall,
        scope: trio.CancelScope,
        keep: Keep,
        call: OpenCall | None,
        attempt: Attempt,
    ) -> Answer:
        use.check()
        place = self.place_of(use, attempt)
        sent = await outgoing.at(place)
        started = trio.current_time()
        with use.in_flight(place, (scope,), started), self._tallies.steps[step.name].working():
            with await self.post(step, use, place, sent) as reader:
                outcome, now = self.heard(reader, attempt, started)
                if reader.status != 200 or reader.error is not None:
                    self.lost(step, place, reader.verdict.usage, call)
                    raise self.refused(use, place, reader, outcome, now)
                try:
                    answered = answer_of(step.kind, reader)
                except BadAnswer as error:
                    self.lost(step, place, reader.verdict.usage, call)
                    raise self.unfit(use, place, error, outcome, now) from None
                answer = self.answer(step, place, reader, answered, now - started, call)
            await keep(answer)
            self.count(step, place, [answer], now)
            return answer

    # -- the parts of an attempt --

    def place_of(self, use: ModelUse, attempt: Attempt) -> PlaceUse:
        """The place at which an attempt is made. Raises `CallFailed` if that was given up meanwhile."""
        place = use.place(attempt.lease.item.resource)
        if place.health.given_up is not None:
            raise CallFailed(place.health.given_up, for_good=True, at=place.provider)
        return place

    def heard(
        self, reader: AnswerReader, attempt: Attempt, started: float
    ) -> tuple[penstock.RequestReleaseOutcome, float]:
        """What an answer that has come means, which `attempt` is told of, and when it came."""
        now = trio.current_time()
        facts = replace(self._without_keys(reader.facts()), elapsed=now - started, received_at=now)
        attempt.answered(facts)
        return penstock.classify(facts, None), now

    def refused(
        self,
        use: ModelUse,
        place: PlaceUse,
        reader: AnswerReader,
        outcome: penstock.RequestReleaseOutcome,
        now: float,
    ) -> CallFailed:
        """What ends an attempt that was answered with an error, which is noted of its place."""
        kind, reason = failure_kind(outcome), self.reason(place, reader)
        use.failed(place, kind, reason, now)
        if kind == "limited":
            self._on_limited()
        at = place.provider if outcome.of == "account" else None
        return CallFailed(reason, for_good=outcome.of is not None, at=at)

    def reason(self, place: PlaceUse, reader: AnswerReader) -> str:
        """What the provider says of an error, in one line."""
        return f"{place.provider}: {error_line(reader.status, reader.error, place.key)}"

    def answer(
        self,
        step: Step,
        place: PlaceUse,
        reader: AnswerReader,
        answered: Answered,
        elapsed: float,
        call: OpenCall | None,
    ) -> Answer:
        """The answer to what a cell has asked, as it is kept, and paid for."""
        cost = cost_of(place.model.prices, answered.usage, step.kind)
        if call is not None:
            cost = call.paid(cost, answered.usage)
        return self._answer(reader, answered, place, elapsed, cost)

    def lost(self, step: Step, place: PlaceUse, usage: Usage | None, *calls: OpenCall | None) -> None:
        """Count what a provider says that an answer has used which is none. It is the cost of each of these calls in
        equal parts.
        """
        if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
            return
        read, written = usage.input_tokens or 0, usage.output_tokens or 0
        place.tally.input_tokens += read
        place.tally.output_tokens += written
        cost = cost_of(place.model.prices, replace(usage, input_tokens=read, output_tokens=written), step.kind)
        if not cost:
            return
        self._tallies.paid(step.name, place.model.name, cost)
        self._on_lost(step.name, cost)
        for call in calls:
            if call is not None:
                call.lost(cost / len(calls), usage)

    def _answer(
        self, reader: AnswerReader, answered: Answered, place: PlaceUse, elapsed: float, cost: float | None
    ) -> Answer:
        """The answer as it is kept: whole, and without keys."""
        clean = self._secrets.value
        return Answer(
            value=clean(answered.value),
            text=clean(reader.text) or None,
            refusal=clean(reader.refusal) or None,
            reasoning=clean(reader.reasoning) or None,
            parts=tuple(clean(part) for part in reader.parts),
            tool_calls=tuple(clean(attrs.asdict(call)) for call in reader.tool_calls),
            logprobs=tuple(reader.logprobs),
            ended=answered.ended,
            usage=answered.usage,
            cost=cost,
            by=place.model.name,
            at=datetime.now(UTC).timestamp(),
            elapsed=elapsed,
        )

    def _without_keys(self, facts: penstock.ResponseFacts) -> penstock.ResponseFacts:
        """The facts, as they may go to events: a provider's own word for an error can be anything."""
        verdict = facts.verdict
        if verdict is None or (code := self._secrets.text(verdict.code)) == verdict.code:
            return facts
        return replace(facts, verdict=replace(verdict, code=code))

    def unfit(
        self, use: ModelUse, place: PlaceUse, error: BadAnswer, outcome: penstock.RequestReleaseOutcome, now: float
    ) -> CallFailed | CellFailed:
        """What ends the attempt: another one where that may help."""
        if outcome.kind == "provider_failure" and outcome.retryable:
            use.failed(place, "down", f"{place.provider}: {error}", now)
            return CallFailed(f"{place.provider}: {error}")
        use.failed(place, "unfit", f"{place.provider}: {error}", now)
        return (CellFailed if outcome.of is None else NotServed)(str(error))

    async def post(self, step: Step, use: ModelUse, place: PlaceUse, sent: Outgoing) -> AnswerReader:
        """The answer, read to its end."""
        provider = place.provider
        try:
            with trio.fail_after(step.timeout):
                return await _read(place, sent)
        except trio.TooSlowError:
            error: CallFailed = _TooLate(f"{provider}: no answer within {step.timeout:g} s")
        except CannotConnect as cause:
            error = _NoAnswer(f"{provider}: cannot connect to {place.client.netloc}: {plain_reason(cause)}")
            error.__cause__ = cause  # by which it is known whether it was paid, or is our own affair
        except WireError as cause:
            error = _NoAnswer(f"{provider}: {cause}")
        if not penstock.own_shortage(error):
            use.failed(place, "down", str(error), trio.current_time())
            raise error
        for other in (each for model in self._models.values() for each in model.places):
            if other.tally.in_flight == 0:  # its idle connections would be closed with its next call, and not before
                await other.client.drop_connections()
        raise error

    def count(self, step: Step, place: PlaceUse, answers: Sequence[Answer], now: float) -> None:
        """Count a call that was answered, with these answers in it."""
        place.health.succeeded()
        tally = place.tally
        tally.answered += 1
        tally.last_answer_at = now
        for answered in answers:
            tally.input_tokens += answered.usage.input_tokens or 0
            tally.output_tokens += answered.usage.output_tokens or 0
            self._tallies.paid(step.name, place.model.name, answered.cost)
            self._tallies.steps[step.name].cut_short += answered.ended == "length"


def _with_reasons(error: CellFailed, before: Sequence[str]) -> CellFailed:
    """The failure of a cell, with why the models before did not serve it."""
    return type(error)("; ".join([*before, str(error)]), error.words) if before else error


async def _read(place: PlaceUse, sent: Outgoing) -> AnswerReader:
    async with place.client.post(sent.path, sent.body) as answer:
        status = answer.status
        reader = AnswerReader(place.dialect, status, answer.headers, wall_now=datetime.now(UTC), strict=status == 200)
        try:
            async for piece in answer.pieces():
                reader.feed(piece)
                if reader.too_large:
                    break
            reader.end()
        except BaseException:
            reader.close()
            raise
        return reader
