"""The figures of a run, from its samples."""

from __future__ import annotations

import pytest

from penstock_batch.report.figures import MOST_POINTS, RunFigures, figures_of
from penstock_batch.store.samples import ModelSample, RunRecord, Sample, StepSample

KILLED = RunRecord(run=1, started=100.0)


def sample(at: float, **fields: object) -> Sample:
    model = ModelSample(cap=16, limit=4, in_flight=3, waiting=2, calls=int(at) * 5, limited=int(at // 2), cost=at)
    given = {
        "rows": 100,
        "rows_done": int(at),
        "limited_by": "the limit of p/m" if at < 7 else "this processor",
        "models": {"p/m": model, "p/free": ModelSample(cap=2)},
        "steps": {"s": StepSample(waiting=6, done=int(at) * 2)},
    }
    return Sample(at=at, **{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture
def figures() -> RunFigures:
    return figures_of(KILLED, [sample(float(second)) for second in range(1, 11)])


def test_a_killed_run_has_the_figures_of_its_last_sample(figures: RunFigures) -> None:
    assert (figures.seconds, figures.rows, figures.rows_done, figures.cost) == (10.0, 100, 10, 10.0)
    assert figures.models["p/m"].calls == 50


def test_what_limited_a_killed_run_is_added_up_from_its_samples(figures: RunFigures) -> None:
    assert figures.limits == {"the limit of p/m": 6.0, "this processor": 4.0}
    assert figures.held == [
        {"at": 0.0, "until": 6.0, "what": "the limit of p/m"},
        {"at": 6.0, "until": 10.0, "what": "this processor"},
    ]


def test_a_run_that_ended_tells_itself_what_limited_it() -> None:
    ended = RunRecord(run=1, started=100.0, ended=112.0, limits={"this processor": 12.0})
    figures = figures_of(ended, [sample(1.0)])
    assert (figures.seconds, figures.limits) == (12.0, {"this processor": 12.0})


def test_a_cell_waits_as_long_as_it_takes_those_before_it_to_come_through(figures: RunFigures) -> None:
    assert figures.waits["s"].seconds == pytest.approx(6 * 10 / 20)
    assert figures.waits["s"].most == 6


def test_refusals_are_counted_between_samples(figures: RunFigures) -> None:
    assert [point["at"] for point in figures.refusals] == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert {point["count"] for point in figures.refusals} == {1}


def test_a_model_without_a_price_has_no_cost_over_time(figures: RunFigures) -> None:
    assert {point["model"] for point in figures.money} == {"p/m"}
    assert figures_of(KILLED, [sample(1.0, models={})]).cost is None


def test_the_limit_in_a_chart_is_the_one_that_holds(figures: RunFigures) -> None:
    limits = {point["model"]: point["count"] for point in figures.pressure if point["what"] == "limit"}
    assert limits == {"p/m": 4, "p/free": 2}


def test_a_long_run_is_thinned_to_what_a_chart_can_show_and_keeps_its_end() -> None:
    figures = figures_of(KILLED, [sample(float(second)) for second in range(1, 10_001)])
    assert len(figures.processor) <= MOST_POINTS
    assert figures.processor[-1]["at"] == 10_000.0
    assert sum(point["count"] for point in figures.refusals) == 5000


def test_a_run_without_samples_has_no_figures() -> None:
    figures = figures_of(KILLED, [])
    assert (figures.seconds, figures.models, figures.pressure, figures.limits) == (0.0, {}, [], {})
