"""Rounds: who is measured when, and what is compared with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from penstock_bench import Competitor, Local, Outcome, Row, Sample, run_rounds
from penstock_bench.measuring.records import PER_SECOND


class FabricatedCompetitor:
    """Gives these samples, and notes when it is asked."""

    name = "the competitor"

    def __init__(self, *samples: Sample, calls: list[str] | None = None) -> None:
        self._samples = list(samples)
        self.calls: list[str] = [] if calls is None else calls

    def measure(self, cell: str, parameters: Mapping[str, Any]) -> Sample:
        self.calls.append(f"competitor {cell} {dict(parameters)}")
        return self._samples.pop(0)


def costing(*costs: float) -> Callable[[int | None], Sample]:
    left = list(costs)
    return lambda _: Sample(1, left.pop(0))


def only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def test_the_sides_take_turns_the_other_first() -> None:
    calls: list[str] = []

    def ours(_: int | None) -> Sample:
        calls.append("ours")
        return Sample(1, 1.0)

    competitor = FabricatedCompetitor(*[Sample(1, 2.0)] * 2, calls=calls)

    run_rounds([Row(name="r", title="r", ours=ours, other=Competitor("cell", {"n": 3}))], 2, competitor)

    assert calls == ["competitor cell {'n': 3}", "ours"] * 2


def test_median_and_spread_are_those_of_the_rounds_and_the_ratio_is_taken_in_each() -> None:
    row = Row(name="r", title="r", ours=costing(1.0, 2.0, 4.0), other=Local("other", costing(10.0, 10.0, 60.0)))

    outcome = only(run_rounds([row], 3, None))

    assert outcome.ours.median == 2e6
    assert (outcome.ours.low, outcome.ours.high) == (1e6, 4e6)
    assert outcome.other is not None
    assert outcome.other.median == 10e6
    assert outcome.ratio is not None
    assert outcome.ratio.values == (10.0, 5.0, 15.0)
    assert outcome.against == "other"


def test_a_side_that_was_cut_is_compared_over_the_same_first_units() -> None:
    marks: list[int | None] = []

    def ours(mark: int | None) -> Sample:
        marks.append(mark)
        return Sample(1000, 100.0, amount_at_mark=2.0)

    competitor = FabricatedCompetitor(Sample(40, 20.0, complete=False))

    outcome = only(run_rounds([Row(name="r", title="r", ours=ours, other=Competitor("c", {}))], 1, competitor))

    assert marks == [40]
    assert outcome.ratio is not None
    assert outcome.ratio.median == pytest.approx((20.0 / 40) / (2.0 / 40))
    assert "40" in outcome.note


def test_a_side_that_did_nothing_in_its_time_is_not_compared() -> None:
    competitor = FabricatedCompetitor(Sample(0, 20.0, complete=False))

    outcome = only(run_rounds([Row(name="r", title="r", ours=costing(1.0), other=Competitor("c", {}))], 1, competitor))

    assert outcome.ratio is None
    assert outcome.other is None
    assert "nothing" in outcome.note


def test_without_the_competitor_its_rows_are_measured_alone() -> None:
    outcome = only(run_rounds([Row(name="r", title="r", ours=costing(1.0), other=Competitor("c", {}))], 1, None))

    assert outcome.ours.median == 1e6
    assert (outcome.other, outcome.ratio, outcome.against) == (None, None, "")


def test_a_row_can_have_fewer_rounds_than_the_others() -> None:
    row = Row(name="r", title="r", ours=costing(1.0), rounds=1)

    assert only(run_rounds([row], 5, None)).ours.values == (1e6,)


def test_a_rate_is_shown_as_what_goes_into_a_second() -> None:
    row = Row(name="r", title="r", ours=costing(0.5), unit=PER_SECOND)

    assert only(run_rounds([row], 1, None)).ours.median == 2.0


def test_each_measurement_is_announced_before_it_begins() -> None:
    announced: list[str] = []

    run_rounds([Row(name="r", title="sorting", ours=costing(1.0, 1.0))], 2, None, announced.append)

    assert announced == ["round 1 of 2: sorting", "round 2 of 2: sorting"]
