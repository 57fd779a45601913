"""A simulated provider as a client meets it."""

from __future__ import annotations

import random
from typing import Any, Protocol

import pytest

from penstock.testing import Granted, ModelReport, ProviderLimits, Refused, SimulatedModel, Started, Ticket

START = 1000.0


class Endpoint:
    """A simulated model at its limits. All moments are seconds since its start, which is not at 0."""

    def __init__(self, limits: ProviderLimits, *, seed: int = 0, wall: float = 0.0) -> None:
        self.model = SimulatedModel(limits, random.Random(seed), START, wall_at_start=wall)

    def arrive(self, at: float = 0.0, tokens: int = 1, key: str = "k") -> Any:
        return self.model.arrive(START + at, key, tokens)

    def granted(self, at: float = 0.0, tokens: int = 1, key: str = "k") -> Ticket:
        """The ticket of a call that is let in."""
        answer = self.arrive(at, tokens, key)
        assert isinstance(answer, Granted), answer
        return answer.ticket

    def refused(self, at: float = 0.0, tokens: int = 1, key: str = "k") -> Refused:
        """The refusal of a call that is not."""
        answer = self.arrive(at, tokens, key)
        assert isinstance(answer, Refused), answer
        return answer

    def finish(self, ticket: Ticket, at: float = 0.0, **options: Any) -> list[Started]:
        return self.model.finish(ticket, START + at, **options)

    def abandon(self, ticket: Ticket, at: float = 0.0) -> list[Started]:
        return self.model.abandon(ticket, START + at)

    def advance(self, at: float) -> list[Started]:
        return self.model.advance(START + at)

    def next_change(self, at: float = 0.0) -> float | None:
        change = self.model.next_change(START + at)
        return None if change is None else change - START

    def allowed(self, until: float) -> float | None:
        """How many calls its limits allow from its start on."""
        return self.model.allowed(START, START + until)

    def report(self) -> ModelReport:
        return self.model.report()


class MakeEndpoint(Protocol):
    def __call__(self, limits: ProviderLimits, *, seed: int = 0, wall: float = 0.0) -> Endpoint: ...


@pytest.fixture
def endpoint() -> MakeEndpoint:
    """Makes an endpoint of these limits."""
    return Endpoint
