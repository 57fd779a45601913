"""The standing of a run at a moment: its own counters, joined with what the request gate says of its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import trio

import penstock
from penstock_batch.calls.model_use import ModelUse
from penstock_batch.calls.place_use import PlaceUse
from penstock_batch.calls.spending import Spending
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.endpoints import Endpoints
from penstock_batch.providers.models import StepModel
from penstock_batch.running.limiting import ModelMoment, Moment
from penstock_batch.running.progress import GateStanding, ModelStanding, Rates, Standing, StepStanding
from penstock_batch.running.summary import AllowedRate
from penstock_batch.running.text_room import row_group_size, rows_in_flight
from penstock_batch.running.time_left import Left, StepCount, TimeLeft
from penstock_batch.running.window import RowWindow
from penstock_batch.store.samples import ModelSample, Sample, StepSample

if TYPE_CHECKING:
    from penstock import RequestPressureSnapshot, Scheduler

__all__ = ["RunStanding", "allowed_rates"]

EXPLAIN_AFTER = 10.0
"""Seconds without a cell done after which progress says what the run waits for."""


class RunStanding:
    """The reader of counters and pressure, which changes nothing but the rates that it keeps."""

    def __init__(
        self,
        pipeline: Pipeline,
        models: Mapping[str, ModelUse],
        tallies: Tallies,
        scheduler: Scheduler,
        spending: Spending | None = None,
    ) -> None:
        self._steps = pipeline.steps
        self._samples = {step.name: step.samples for step in pipeline.steps}
        self._models = models
        self._places = {place.model.name: place for use in models.values() for place in use.places}
        self._tallies = tallies
        rows = rows_in_flight(pipeline.batch, pipeline.steps)
        self._window = RowWindow(rows, pipeline.batch.rows_waiting)
        self._scheduler = scheduler
        self._pressure = scheduler.requests.pressure
        self._rates = Rates()
        self._group_size = row_group_size(pipeline.batch, pipeline.steps)
        self._spending = spending
        self._time_left = TimeLeft()
        self._left = Left()
        self._inside: dict[str, float] = {}
        self.more_rows = True
        """Whether there are rows that have not been read yet."""
        self._started = trio.current_time()

    def begin(self, window: RowWindow) -> None:
        """Look at the rows of a stage that begins."""
        self._window = window
        self.more_rows = True

    def cooling(self, now: float) -> set[str]:
        """The steps whose provider has asked to be left alone for now, at each place where it is called."""
        called = [(step, model) for step in self._steps if (model := self._calls(step)) is not None]
        return {step.name for step, model in called if self._cools(step, model, now)}

    def _cools(self, step: Step, model: StepModel, now: float) -> bool:
        """Whether no place that is left takes calls now."""
        called = [place for place in model.served if self._places[place.name].health.given_up is None]
        pressures = [self._at(place, step.kind, now) for place in called]
        return bool(called) and all(each is not None and each.cooldown_remaining > 0 for each in pressures)

    @property
    def _for_budget(self) -> int:
        """How many calls wait for the budget."""
        return 0 if self._spending is None else self._spending.budget.waiting

    @property
    def seconds(self) -> float:
        """How long the run has been going."""
        return trio.current_time() - self._started

    def look(self) -> None:
        """Take note of how much is left; to be called about once a second."""
        self._left = self._time_left.look(self._counts(), trio.current_time())

    def _counts(self) -> dict[str, StepCount]:
        return {
            name: StepCount(step.rows, step.before + step.empty, step.done + step.failed, step.dropped, step.cost)
            for name, step in self._tallies.steps.items()
        }

    def now(self) -> Standing:
        """The standing that progress shows."""
        now = trio.current_time()
        tallies = self._tallies
        rates = self._rates.take(tallies, now)
        steps = {
            name: StepStanding(step.before + step.done, step.failed, rates[name], step.cost, step.empty)
            for name, step in tallies.steps.items()
        }
        models = {name: self._model(name, now) for name in self._places}
        moves = any(rates.values()) or now - self._started < EXPLAIN_AFTER
        return Standing(
            tallies.rows,
            tallies.rows_done,
            tallies.rows_failed,
            now - self._started,
            steps,
            models,
            self._gate(moves),
            self._left,
            tallies.cost,
            self._for_budget,
            (tallies.stage, tallies.of_stages) if tallies.of_stages > 1 else None,
            tallies.failed_before,
        )

    def moment(self, loop: float, threads: float, lasted: float) -> Moment:
        """What there is to see of what limits the run; `loop` and `threads` are shares of a processor in the time since
        the last look, which `lasted` so many seconds.
        """
        now = trio.current_time()
        inside = {step.name: self._tallies.steps[step.name].inside for step in self._steps if step.model is None}
        before, self._inside = self._inside, inside
        room = self._window.room(self.cooling(now))
        return Moment(
            models={name: self._model_moment(name, now) for name in self._places},
            python={step.name: self._tallies.steps[step.name].at_work for step in self._steps if step.model is None},
            workers={step.name: step.workers for step in self._steps if step.model is None and step.thread},
            loop=loop,
            threads=threads,
            more_rows=self.more_rows,
            room=room >= self._group_size,
            for_budget=self._for_budget,
            inside={name: (s - before.get(name, 0.0)) / lasted for name, s in inside.items()} if lasted > 0 else {},
        )

    def sample(self, processor: float, limited_by: str) -> Sample:
        """The run as it is now, to be kept."""
        now = trio.current_time()
        tallies = self._tallies
        return Sample(
            at=now - self._started,
            rows=tallies.rows + tallies.failed_before,
            rows_done=tallies.rows_done,
            rows_failed=tallies.rows_failed + tallies.failed_before,
            processor=processor,
            limited_by=limited_by,
            models={name: self._model_sample(name, now) for name in self._places},
            steps={
                name: StepSample(
                    waiting=-(-self._waiting(name) // self._samples[name]),
                    kept=step.before,
                    empty=step.empty,
                    done=step.done,
                    failed=step.failed,
                    cost=step.cost,
                )
                for name, step in tallies.steps.items()
            },
        )

    def _model_moment(self, name: str, now: float) -> ModelMoment:
        stands = self._model(name, now)
        pressures = self._pressures(name, now)
        return ModelMoment(
            in_flight=stands.in_flight,
            waiting=stands.waiting,
            at_gate=sum(pressure.waiters for pressure in pressures),
            cap=self._places[name].model.max_parallel_requests,
            limit=stands.limit,
            cooldown=stands.cooldown,
        )

    def _model_sample(self, name: str, now: float) -> ModelSample:
        stands = self._model(name, now)
        tally = self._tallies.models[name]
        return ModelSample(
            cap=self._places[name].model.max_parallel_requests,
            limit=stands.limit,
            in_flight=stands.in_flight,
            waiting=stands.waiting,
            cooldown=stands.cooldown,
            calls=tally.calls,
            limited=tally.limited,
            failed=tally.failed,
            input_tokens=tally.input_tokens,
            output_tokens=tally.output_tokens,
            cost=tally.cost,
        )

    def _steps_of(self, place: str) -> list[Step]:
        """The steps whose next cells may be called there."""
        called = [(step, model) for step in self._steps if (model := self._calls(step)) is not None]
        return [step for step, model in called if place in {each.name for each in model.served}]

    def _calls(self, step: Step) -> StepModel | None:
        """The model that the next cells of a step are asked of: the first that is not given up."""
        there = (model for model in step.models if self._models[model.name].given_up is None)
        return next(there, step.model)

    def _pressures(self, place: str, now: float) -> list[RequestPressureSnapshot]:
        at = self._places[place].model
        found = (self._at(at, step.kind, now) for step in self._steps_of(place))
        return [pressure for pressure in found if pressure is not None]

    def _waiting_for(self, place: str) -> int:
        """Cells that wait for a place: those of its model, which wait for all its places."""
        return sum(self._waiting(step.name) for step in self._steps_of(place))

    def _waiting(self, name: str) -> int:
        """What of a step could be at work and is not; of several samples each by itself."""
        return self._tallies.steps[name].waiting(self._window.could_do(name), self._samples[name])

    def _gate(self, moves: bool) -> GateStanding:
        health = self._scheduler.health()
        waiter, longest = next(iter(health.longest_waits.items()), (None, 0.0))
        waits_for = None
        if not moves and waiter is not None:
            groups = self._scheduler.explanation(waiter).groups
            waits_for = next((line for group in groups for line in group.waits_for), None)
        return GateStanding(
            queued=health.queued,
            running=health.running,
            waiter=waiter,
            longest_wait=longest,
            lag=max(health.loop_lag, health.blocked_seconds),
            blocked_by=health.blocked_by,
            waits_for=waits_for,
        )

    def _model(self, name: str, now: float) -> ModelStanding:
        tally = self._tallies.models[name]
        pressures = self._pressures(name, now)
        limits = [pressure.current_limit for pressure in pressures if pressure.current_limit is not None]
        return ModelStanding(
            in_flight=tally.in_flight,
            limit=min(limits, default=None),
            waiting=self._waiting_for(name),
            limited=tally.limited,
            cooldown=max((pressure.cooldown_remaining for pressure in pressures), default=0.0),
            given_up=self._places[name].health.given_up is not None,
        )

    def _at(self, place: StepModel, kind: str, now: float) -> RequestPressureSnapshot | None:
        resource = penstock.RequestResourceKey(place.provider, place.model_id, kind)
        return self._pressure.snapshot(resource, now)


def allowed_rates(models: Mapping[str, ModelUse], endpoints: Endpoints, scheduler: Scheduler) -> dict[str, AllowedRate]:
    """The rates that the limits of each model allow, at each place where it is called: its own report if it is an
    embedded one, else the limit as found.
    """
    places: Iterable[PlaceUse] = (place for use in models.values() for place in use.places)
    return {place.model.name: _allowed(place.model, endpoints, scheduler) for place in places}


def _allowed(model: StepModel, endpoints: Endpoints, scheduler: Scheduler) -> AllowedRate:
    mock = endpoints.mocks.get(model.provider)
    if mock is None:
        key = penstock.ProviderModelKey(model.provider, model.model_id)
        pressures = scheduler.requests.pressure.snapshots(trio.current_time())
        limits = [pressure.current_limit for resource, pressure in pressures.items() if resource.provider_model == key]
        return AllowedRate(limit=min((limit for limit in limits if limit is not None), default=None))
    seen = mock.report().models[model.model_id]
    if seen.first_arrival_at is None or seen.last_answer_at is None:
        return AllowedRate(refused=seen.total.refused)
    lasted = seen.last_answer_at - seen.first_arrival_at
    return AllowedRate(
        seconds=lasted, completed=seen.total.completed, calls=seen.allowed_calls, refused=seen.total.refused
    )
