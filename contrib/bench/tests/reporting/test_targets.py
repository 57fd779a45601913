"""Targets as data, and whether fabricated figures meet them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock import ConfigError
from penstock_bench import Outcome, Target, judge, load_targets
from penstock_bench.reporting.targets import targets_from


def target(**fields: Any) -> Target:
    given: dict[str, Any] = {"bench": "b", "row": "r", "figure": "ratio", "source": "page", "says": "words", **fields}
    return Target(**given)


Make = Callable[..., Outcome]


@pytest.mark.parametrize(("values", "met"), [((6.0,), True), ((5.9,), False), ((1.0, 7.0, 8.0), True)])
def test_the_median_counts_against_a_lower_bound(outcome: Make, values: tuple[float, ...], met: bool) -> None:
    (verdict,) = judge([target(at_least=6)], [outcome(ratio=values)], "b")

    assert verdict.met is met


@pytest.mark.parametrize(("value", "met"), [(600.0, True), (601.0, False)])
def test_an_upper_bound_may_be_reached_and_not_passed(outcome: Make, value: float, met: bool) -> None:
    (verdict,) = judge([target(figure="ours", at_most=600)], [outcome(ours=value)], "b")

    assert verdict.met is met


def test_an_upper_bound_of_zero_is_one() -> None:
    assert not target(at_most=0).met_by(0.1)
    assert target(at_most=0).met_by(0.0)


def test_what_was_not_measured_is_neither_met_nor_missed(outcome: Make) -> None:
    (verdict,) = judge([target(at_least=6)], [outcome()], "b")

    assert verdict.met is None
    assert "not measured" in verdict.words


def test_the_targets_of_other_benches_are_left_alone(outcome: Make) -> None:
    assert judge([target(bench="other", row="elsewhere", at_least=1)], [outcome()], "b") == []


def test_a_target_of_the_compiled_wheels_holds_where_they_run(outcome: Make) -> None:
    both = [target(at_least=6), target(at_least=13, compiled=True)]

    assert [verdict.met for verdict in judge(both, [outcome(ratio=(9.0,))], "b")] == [True]
    assert [verdict.met for verdict in judge(both, [outcome(ratio=(9.0,))], "b", compiled=True)] == [True, False]


def test_a_target_of_a_row_that_there_is_not_is_an_error(outcome: Make) -> None:
    with pytest.raises(ValueError, match="'gone'"):
        judge([target(row="gone", at_least=1)], [outcome()], "b")


def test_a_missed_target_names_its_row_the_figure_and_who_wants_it(outcome: Make) -> None:
    (verdict,) = judge([target(at_least=120)], [outcome(ratio=(15.0,))], "b")

    assert verdict.words == "r: ratio is 15, wanted ≥ 120 × (page: “words”)"


@pytest.mark.parametrize("bounds", [{}, {"at_least": 1.0, "at_most": 2.0}])
def test_a_target_has_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at_least or at_most"):
        target(**bounds)


def test_a_target_bounds_a_figure_that_there_is() -> None:
    with pytest.raises(ValueError, match="figure must be"):
        target(figure="theirs", at_least=1)


def test_a_source_is_named_once_and_used_by_its_name() -> None:
    data = {
        "sources": {"page": "the page that says so"},
        "target": [{"bench": "b", "row": "r", "figure": "ratio", "at_least": 6, "source": "page", "says": "six"}],
    }

    assert targets_from(data) == [target(source="the page that says so", says="six", at_least=6)]


def test_what_is_wrong_with_a_file_of_targets_is_told_together() -> None:
    whole = {"bench": "b", "row": "r", "figure": "ratio", "at_least": 6, "source": "page", "says": "six"}
    astray = {**whole, "source": "pge"}

    with pytest.raises(ConfigError) as caught:
        targets_from({"sources": {"page": "p"}, "target": [astray, {**whole, "figure": "theirs"}, {}]})
    missing = [("target", 2, key) for key in ("bench", "row", "figure", "source", "says")]
    assert [record.path for record in caught.value.records] == [("target", 1, "figure"), *missing]
    with pytest.raises(ConfigError) as caught:
        targets_from({"sources": {"page": "p"}, "target": [astray]})
    assert caught.value.problems == ("targets: target[0].source: unknown page; did you mean 'page'?",)


def test_every_bench_has_targets_and_each_has_a_source() -> None:
    targets = load_targets()

    assert {each.bench for each in targets} == {"dispatch", "tasks", "requests", "batch", "gateway"}
    stated = ("How fast", "Doors for programs", "For operators", "The HTTP client", "As fast as Python allows")
    assert all(each.says and any(where in each.source for where in stated) for each in targets)
