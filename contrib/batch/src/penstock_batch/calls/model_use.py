"""One model as a run uses it: its client, the health of its calls, and the cells that wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import trio

import penstock
from penstock_batch.calls.giving_up import FailureKind, GiveUpRules, ModelHealth
from penstock_batch.calls.tallies import ModelTally, Tallies
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.providers.clients import ModelClient
from penstock_batch.providers.endpoints import Endpoints, api_key
from penstock_batch.providers.models import StepModel
from penstock_dialects import dialect_at

__all__ = ["CellFailed", "CellStopped", "ModelUse", "NotServed", "model_uses", "not_admitted"]


class CellFailed(Exception):
    """The failure of a cell, in one line. `words` are what the model said last, if it said anything."""

    def __init__(self, reason: str, words: Any = None) -> None:
        super().__init__(reason)
        self.words = words


class NotServed(CellFailed):
    """The failure of a cell whose model is given up, or refuses the call for good: another model may answer it."""


class CellStopped(Exception):
    """The end of a cell before its call went out, since the run stops: the next run does it."""


def not_admitted(error: penstock.RequestAdmissionError) -> CellFailed | CellStopped:
    """What it means for a cell that its call was not admitted."""
    return CellStopped() if error.reason in ("shutdown", "cancellation") else CellFailed(f"not admitted: {error}")


class ModelUse:
    """One model as this run uses it: its client, the health of its calls, and the cells that wait for it."""

    def __init__(
        self, model: StepModel, client: ModelClient, key: str | None, health: ModelHealth, tally: ModelTally
    ) -> None:
        self.model = model
        self.client = client
        self.key = key
        self.health = health
        self.dialect = dialect_at(client.host)
        self.tally = tally
        self._waiting: set[trio.CancelScope] = set()
        self._stopped = False

    @property
    def given_up(self) -> str | None:
        """The reason why no more calls are made, in one line; `None` while they are."""
        reason = self.health.given_up
        return None if reason is None else f"not called, {self.model.name} was given up after {reason}"

    @property
    def refusal(self) -> CellStopped | CellFailed | None:
        """What is to be raised where no more calls are made."""
        if self._stopped:
            return CellStopped()
        return None if self.given_up is None else NotServed(self.given_up)

    def check(self) -> None:
        """Raises `CellStopped` or `CellFailed` where no more calls are made."""
        if (refusal := self.refusal) is not None:
            raise refusal

    def stop(self) -> None:
        """No more calls are made; those that are in flight may come back."""
        self._stopped = True
        self._cancel_waiting()

    def _cancel_waiting(self) -> None:
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def waiting(self) -> Iterator[trio.CancelScope]:
        """A scope around waiting for this model; it is cancelled when no more calls are made, unless its call is in
        flight just then.
        """
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield scope
            finally:
                self._waiting.discard(scope)

    @contextmanager
    def in_flight(self, scopes: Sequence[trio.CancelScope], now: float) -> Iterator[None]:
        """A block in which a call is in flight: it is counted, and neither it nor what waits for it in these scopes is
        cancelled.
        """
        tally = self.tally
        tally.calls += 1
        tally.in_flight += 1
        tally.first_call_at = now if tally.first_call_at is None else tally.first_call_at
        self._waiting.difference_update(scopes)
        try:
            yield
        finally:
            tally.in_flight -= 1
            self._wait_again(scopes)

    @contextmanager
    def apart(self, scope: trio.CancelScope) -> Iterator[None]:
        """A block that is not cancelled when no more calls are made, though it lies in a scope of `waiting`."""
        self._waiting.discard(scope)
        try:
            yield
        finally:
            self._wait_again((scope,))

    def _wait_again(self, scopes: Sequence[trio.CancelScope]) -> None:
        if self.health.given_up is None and not self._stopped:
            self._waiting.update(scopes)
        else:
            for scope in scopes:
                scope.cancel()

    def failed(self, kind: FailureKind, reason: str, now: float) -> None:
        """Note a failed call; if that makes the model be given up, cancel the cells that wait for it."""
        if kind == "limited":
            self.tally.limited += 1
        else:
            self.tally.failed += 1
        self.judged(kind, reason, now)

    def judged(self, kind: FailureKind, reason: str, now: float) -> None:
        """Note what a call that was counted before says of the model's health."""
        if self.health.failed(kind, reason, now) is not None:
            self._cancel_waiting()


def model_uses(pipeline: Pipeline, endpoints: Endpoints, tallies: Tallies) -> dict[str, ModelUse]:
    """The models of a pipeline as a run uses them."""
    batch = pipeline.batch
    rules = GiveUpRules(
        failures=batch.give_up_failures,
        start=batch.give_up_start,
        after=batch.give_up_after,
        rate_limited=batch.give_up_rate_limited,
    )
    models = {model.name: model for model in pipeline.models}
    return {
        name: ModelUse(
            model,
            endpoints.clients[name],
            api_key(pipeline.config.providers[model.provider]),
            ModelHealth(rules),
            tallies.models[name],
        )
        for name, model in models.items()
    }
