"""The simulated provider against a naive model of itself: a list of what runs, and a log of what was let
in."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.testing import Granted, Hanging, ProviderLimits, Queued, Refused, SimulatedModel, Started, Ticket

STEPS = ((0.0, 2), (5.0, 1), (9.0, 4))


@st.composite
def any_limits(draw: st.DrawFn) -> ProviderLimits:
    slots = draw(st.one_of(st.none(), st.integers(1, 3)))
    schedule = STEPS if slots is None and draw(st.booleans()) else None
    rpm = draw(st.one_of(st.none(), st.sampled_from([30.0, 240.0])))
    tpm = draw(st.one_of(st.none(), st.sampled_from([60.0, 6000.0])))
    return ProviderLimits(
        slots=slots,
        schedule=schedule,
        queue=(slots or schedule) is not None and draw(st.booleans()),
        rpm=rpm,
        burst=draw(st.integers(1, 4)) if rpm else None,
        tpm=tpm,
        tpm_burst=draw(st.integers(1, 50)) if tpm else None,
        outage=draw(st.sampled_from([None, (3.0, 6.0)])),
        error_rate=draw(st.sampled_from([0.0, 0.3])),
        hang_share=draw(st.sampled_from([0.0, 0.3])),
        retry_after="until-next",
        headers=draw(st.booleans()),
    )


class ProviderMachine(RuleBasedStateMachine):
    now: float
    limits: ProviderLimits
    model: SimulatedModel

    @initialize(limits=any_limits(), seed=st.integers(0, 5))
    def begin(self, limits: ProviderLimits, seed: int) -> None:
        self.now = 0.0
        self.limits = limits
        self.model = SimulatedModel(limits, random.Random(seed), 0.0)
        self.running: dict[Ticket, bool] = {}  # ticket: does it hang
        self.waiting: list[Ticket] = []
        self.let_in: list[tuple[float, int]] = []

    def slots(self) -> float:
        slots = self.limits.slots_at(self.now)
        return float("inf") if slots is None else slots

    def start(self, started: list[Started]) -> None:
        """Those that start are the longest waiting ones, as many as there is room for."""
        for answer in started:
            assert answer.ticket == self.waiting.pop(0)
            self.running[answer.ticket] = isinstance(answer, Hanging)
        assert len(self.running) <= self.slots() or not started
        assert not self.waiting or len(self.running) >= self.slots()

    @rule(tokens=st.integers(0, 60), key=st.sampled_from("ab"))
    def arrive(self, tokens: int, key: str) -> None:
        room = len(self.running) < self.slots()
        answer = self.model.arrive(self.now, key, tokens)
        match answer:
            case Granted(ticket) | Hanging(ticket):
                assert room
                assert not self.waiting
                self.running[ticket] = isinstance(answer, Hanging)
                self.let_in.append((self.now, tokens))
            case Queued(ticket):
                assert self.limits.queue
                assert not room or self.waiting
                self.waiting.append(ticket)
                self.let_in.append((self.now, tokens))
            case Refused(reason="slots"):
                assert not room
                assert not self.limits.queue
            case Refused(reason="outage"):
                assert self.limits.in_outage(self.now)
            case Refused(reason="error", status=status):
                assert status == 500
            case Refused(retry_after=wait):
                # A bucket refused: nothing else did, and it says a moment that lies ahead.
                assert wait is not None
                assert wait > 0

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.7, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.start(self.model.advance(self.now))

    @precondition(lambda self: any(not hangs for hangs in self.running.values()))
    @rule(data=st.data(), actual=st.one_of(st.none(), st.integers(0, 60)))
    def finish(self, data: st.DataObject, actual: int | None) -> None:
        ticket = data.draw(st.sampled_from([t for t, hangs in self.running.items() if not hangs]))
        del self.running[ticket]
        self.start(self.model.finish(ticket, self.now, actual))

    @precondition(lambda self: self.running or self.waiting)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from([*self.running, *self.waiting]))
        if self.running.pop(ticket, None) is None:
            self.waiting.remove(ticket)
        self.start(self.model.abandon(ticket, self.now))

    @invariant()
    def books_balance(self) -> None:
        self.model.check_invariants()
        assert self.model.in_flight == len(self.running)
        assert self.model.waiting == len(self.waiting)

    @invariant()
    def no_window_held_more_requests_than_burst_and_rate(self) -> None:
        if self.limits.rpm is None:
            return
        for i, (begin, _) in enumerate(self.let_in):
            most = self.limits.request_burst + self.limits.rpm / 60 * (self.now - begin)
            assert len(self.let_in) - i <= most + 1e-5


TestProviderMachine = ProviderMachine.TestCase
