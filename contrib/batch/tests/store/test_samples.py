"""Samples of a run, kept once a second and read again."""

from __future__ import annotations

import sqlite3
from typing import Any

import attrs
import pytest

from penstock import AsyncCapacityPlan, CapacityValue, ConfiguredCapacity, ObservedMaxima, RuntimeCapacity
from penstock_batch.store.samples import (
    TABLES,
    Ask,
    Change,
    ModelSample,
    RunRecord,
    Sample,
    StepSample,
    begin_run,
    put_sample,
    runs,
    samples,
    tell_run,
)

SAMPLE = Sample(
    at=1.0,
    rows=10,
    rows_done=2,
    processor=0.5,
    limited_by="the limit of p/m",
    models={"p/m": ModelSample(cap=16, limit=4, in_flight=4, waiting=3, calls=6, limited=1, cost=0.25)},
    steps={"summary": StepSample(waiting=3, done=2, cost=0.25)},
)
ENDED = RunRecord(run=2, started=200.0, ended=230.0, limits={"the limit of p/m": 30.0}, failures={"s: no": 2})


class Kept:
    """A store of nothing but samples."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(TABLES)

    def put(self, *changes: Change) -> None:
        for statement, values in changes:
            self.connection.execute(statement, values)

    @property
    def ask(self) -> Ask:
        def ask(question: str, values: Any = ()) -> list[Any]:
            return self.connection.execute(question, values).fetchall()

        return ask


@pytest.fixture
def store() -> Kept:
    return Kept()


def test_what_was_sampled_is_read_again(store: Kept) -> None:
    store.put(begin_run(1, 100.0), begin_run(2, 200.0), put_sample(2, SAMPLE), tell_run(ENDED))
    assert list(samples(store.ask, 1)) == []
    assert list(samples(store.ask, 2)) == [SAMPLE]
    assert runs(store.ask) == [RunRecord(run=1, started=100.0), ENDED]


def test_what_limited_a_run_is_read_again_and_what_is_not_ours_is_not_known(store: Kept) -> None:
    nothing = CapacityValue(None, "default", missing_reason="it is a test")
    known = ConfiguredCapacity(
        buffer_size=CapacityValue(7, "run_config"),
        row_group_admission=nothing,
        submission_capacity=nothing,
        plugins=nothing,
    )
    plan = AsyncCapacityPlan(
        run_id="r",
        generation=1,
        configured=known,
        runtime_snapshot=RuntimeCapacity(captured_at=1.0),
        observed_maxima=ObservedMaxima(queued_by_group={"a": 3}),
    )
    told = attrs.evolve(ENDED, capacity=plan)
    store.put(begin_run(2, 200.0), tell_run(told))
    assert runs(store.ask) == [told]
    store.put(("UPDATE runs SET told = replace(told, 'buffer_size', 'another')", ()))
    assert runs(store.ask) == [ENDED]


@pytest.mark.parametrize("damage", ["{", "[]", '{"at": 1}', '{"at": 1, "models": {}, "steps": {}, "more": 1}', "null"])
def test_a_sample_that_cannot_be_read_is_passed_over(store: Kept, damage: str) -> None:
    store.put(begin_run(1, 100.0), put_sample(1, SAMPLE))
    store.put(("INSERT INTO samples VALUES (1, 2.0, ?)", (damage,)), ("UPDATE runs SET told = ?", (damage,)))
    assert list(samples(store.ask, 1)) == [SAMPLE]
    assert runs(store.ask) == [RunRecord(run=1, started=100.0)]
