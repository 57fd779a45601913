"""One model as a run uses it: the places at which it is called, and the cells that wait for it.

It is given up when each of its places is; while one is left, cells that wait ask there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio

import penstock
from penstock import ModelRequestExecutor, RequestResourceKey
from penstock_batch.calls.giving_up import FailureKind, GiveUpRules, ModelHealth
from penstock_batch.calls.place_use import PlaceUse
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.providers import endpoints as clients
from penstock_batch.providers.models import StepModel
from penstock_endpoints import Endpoints

__all__ = ["CellFailed", "CellStopped", "ModelUse", "NotServed", "model_uses", "not_admitted"]


Resources = Sequence[RequestResourceKey]


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
    """One model as this run uses it. `order` gives the resources of its places for a kind of call, the best first."""

    def __init__(
        self, model: StepModel, places: Sequence[PlaceUse], order: Callable[[str], Callable[[], Resources]]
    ) -> None:
        self.model = model
        self.places = tuple(places)
        self._order = order
        self._by_provider = {place.provider: place for place in places}
        self._waiting: set[trio.CancelScope] = set()
        self._in_line: set[trio.CancelScope] = set()
        self._stopped = False

    @property
    def given_up(self) -> str | None:
        """The reason why no more calls are made, in one line; `None` while they are."""
        if any(place.health.given_up is None for place in self.places):
            return None
        last = self.places[-1]
        if not self.model.places:
            return f"not called, {self.model.name} was given up after {last.health.given_up}"
        where = f"{self.model.name} was given up at all its endpoints"
        return f"not called, {where}, at {last.provider} after {last.health.given_up}"

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

    def left(self, without: Collection[str]) -> bool:
        """Whether there is a place that is not given up, and not among the providers or endpoints `without`."""
        return any(place.health.given_up is None and place.provider not in without for place in self.places)

    def resource(self, kind: str, without: Collection[str]) -> str | Callable[[], Resources]:
        """Where a call may be made, as `penstock.execute` takes it: at the places that are left, the best first."""
        if len(self.places) == 1:
            return self.places[0].model.name
        order = self._order(kind)

        def ask() -> Resources:
            keys = order()
            return [key for key in keys if self._serves(key, without)] or keys

        return ask

    def _serves(self, key: RequestResourceKey, without: Collection[str]) -> bool:
        return key.provider_name not in without and self._by_provider[key.provider_name].health.given_up is None

    def place(self, resource: RequestResourceKey) -> PlaceUse:
        """The place that the lease of a call names."""
        return self._by_provider[resource.provider_name]

    def stop(self) -> None:
        """No more calls are made; those that are in flight may come back."""
        self._stopped = True
        self._let_out()

    def _let_out(self) -> None:
        over = self.refusal is not None
        for scope in self._waiting:
            if over or scope not in self._in_line:
                scope.cancel()

    @contextmanager
    def waiting(self) -> Iterator[trio.CancelScope]:
        """A scope around waiting for this model; it is cancelled when no more calls are made, or fewer places are left,
        unless its call is in flight just then.
        """
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield scope
            finally:
                self._waiting.discard(scope)

    @contextmanager
    def in_line(self) -> Iterator[trio.CancelScope]:
        """A scope around waiting for a call that others make, who ask elsewhere when fewer places are left: like
        `waiting`, and cancelled only when no more calls are made.
        """
        with self.waiting() as scope:
            self._in_line.add(scope)
            try:
                yield scope
            finally:
                self._in_line.discard(scope)

    @contextmanager
    def in_flight(self, place: PlaceUse, scopes: Sequence[trio.CancelScope], now: float) -> Iterator[None]:
        """A block in which a call is in flight at a place: it is counted, and neither it nor what waits for it in these
        scopes is cancelled.
        """
        tally = place.tally
        tally.calls += 1
        tally.in_flight += 1
        tally.first_call_at = now if tally.first_call_at is None else tally.first_call_at
        self._waiting.difference_update(scopes)
        try:
            yield
        finally:
            tally.in_flight -= 1
            self._wait_again(scopes, gone=place.health.given_up is not None)

    @contextmanager
    def apart(self, scope: trio.CancelScope) -> Iterator[None]:
        """A block that is not cancelled when no more calls are made, though it lies in a scope of `in_line`."""
        self._waiting.discard(scope)
        try:
            yield
        finally:
            self._wait_again((scope,))

    def _wait_again(self, scopes: Sequence[trio.CancelScope], *, gone: bool = False) -> None:
        over = self.refusal is not None
        for scope in scopes:
            if over or (gone and scope not in self._in_line):
                scope.cancel()
            else:
                self._waiting.add(scope)

    def failed(self, place: PlaceUse, kind: FailureKind, reason: str, now: float) -> None:
        """Note a failed call; if that makes the place be given up, cells that wait for it ask elsewhere, or end."""
        if place.failed(kind, reason, now):
            self._let_out()

    def judged(self, place: PlaceUse, kind: FailureKind, reason: str, now: float) -> None:
        """Note what a call that was counted before says of the health of a place."""
        if place.judged(kind, reason, now):
            self._let_out()


def model_uses(
    pipeline: Pipeline, opened: clients.Endpoints, tallies: Tallies, requests: ModelRequestExecutor
) -> dict[str, ModelUse]:
    """The models of a pipeline as a run uses them, whose calls `requests` admits."""
    batch = pipeline.batch
    rules = GiveUpRules(
        failures=batch.give_up_failures,
        start=batch.give_up_start,
        after=batch.give_up_after,
        rate_limited=batch.give_up_rate_limited,
    )

    def place(model: StepModel) -> PlaceUse:
        provider = pipeline.config.providers[model.provider]
        return PlaceUse(
            model,
            opened.clients[model.name],
            clients.api_key(provider),
            ModelHealth(rules),
            tallies.models[model.name],
            clients.speaking_of(model.provider, provider),
        )

    models = {model.name: model for model in pipeline.models}
    order = Endpoints({name: [each.name for each in model.served] for name, model in models.items()}, requests)
    return {
        name: ModelUse(model, [place(each) for each in model.served], partial(order.of, name))
        for name, model in models.items()
    }
