"""Summary, progress and what differs: what people read."""

from __future__ import annotations

import io

import attrs
from rich.console import Console

from penstock_batch.calls.tallies import ModelTally, StepTally, Tallies
from penstock_batch.running.assembly import Assembled
from penstock_batch.running.progress import (
    GateStanding,
    ModelStanding,
    Rates,
    Standing,
    StepStanding,
    plain_line,
    table,
)
from penstock_batch.running.summary import AllowedRate, summary_lines
from penstock_batch.running.time_left import Left

STANDING = Standing(
    rows=100,
    rows_done=40,
    rows_failed=2,
    seconds=12.3,
    steps={"summary": StepStanding(50, 2, 4.5)},
    models={
        "p/writer": ModelStanding(3, 4, 10, 7, 1.5, given_up=False),
        "p/tagger": ModelStanding(0, None, 0, 0, 0.0, given_up=True),
    },
    gate=GateStanding(7, 4, "local/summary", 41.0, 0.4, "r7/summary"),
)


def test_a_plain_line_says_how_everything_stands() -> None:
    assert plain_line(STANDING) == (
        "12 s: 40 of 100 rows (42 %), 2 failed; time left unknown; summary 50 (4.5/s); "
        "p/writer 3 of 4 in flight, 10 waiting, cooling down 1.5 s; p/tagger given up; "
        "7 queued, 4 at work, local/summary waits 41 s, the loop was 0.4 s late (r7/summary)"
    )


def test_a_line_says_what_is_left_and_what_it_costs() -> None:
    line = plain_line(
        attrs.evolve(
            STANDING,
            steps={"summary": StepStanding(50, 2, 4.5, cost=1.25, empty=3)},
            left=Left(75.0, 3.0, at_least=True),
            cost=1.25,
            for_budget=7,
        )
    )
    assert (
        "more than 1 min 15 s left, cost 1.25 of about 3.00, 7 calls wait for the budget; "
        "summary 50 (4.5/s, cost 1.25), 3 empty" in line
    )


def test_a_run_is_at_a_hundred_per_cent_when_it_is_over() -> None:
    almost = attrs.evolve(STANDING, rows=1000, rows_done=999, rows_failed=0)
    assert almost.share == "99 %"
    assert attrs.evolve(almost, rows_failed=1).share == "100 %"


def test_what_is_as_it_should_be_is_not_shown() -> None:
    assert GateStanding(3, 2, "local/a", 1.0, 0.01, "r1/a").words() == "3 queued, 2 at work"


def test_a_run_in_which_nothing_moves_says_what_it_waits_for() -> None:
    stuck = GateStanding(3, 0, "local/a", 60.0, waits_for="3 refused, policy_denial by hours")
    assert stuck.words() == (
        "3 queued, 0 at work, local/a waits 60 s; nothing moves: 3 refused, policy_denial by hours"
    )


def test_the_table_says_the_same() -> None:
    file = io.StringIO()
    Console(file=file, width=100).print(table(STANDING))
    text = file.getvalue()
    for word in ("40", "of 100 rows", "2 failed", "summary", "4.5", "p/writer", "in flight", "1.5 s", "given up"):
        assert word in text


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    tallies = Tallies(0, {"a": StepTally()}, {})
    rates = Rates()
    assert rates.take(tallies, 0.0) == {"a": 0.0}
    for second in range(1, 31):
        tallies.steps["a"].done += 1 if second <= 15 else 3
        rate = rates.take(tallies, float(second))
    assert rate["a"] == 3.0


def test_the_summary_tells_rows_reasons_calls_and_rates() -> None:
    summary = StepTally(before=4, done=5, failed=1, cut_short=2, cost=0.5)
    tallies = Tallies(10, {"summary": summary}, {"p/writer": ModelTally(cost=0.5, answered=5)})
    model = tallies.models["p/writer"]
    model.calls, model.limited, model.failed, model.input_tokens, model.output_tokens = 8, 2, 1, 1000, 20
    lines = summary_lines(
        Assembled(done=9, failed=1, open=0, reasons={"summary: HTTP 500": 1}),
        tallies,
        {"p/writer": AllowedRate(seconds=10.0, completed=5, calls=10.0)},
        seconds=75.0,
        interrupted=False,
        costs=["cost: 0.500"],
        where=["what the run waited for: 90% for answers"],
        shadows=["shadow two: would have refused 1 of 8 requests"],
    )
    assert lines == [
        "10 rows: 9 done, 1 failed, in 1 min 15 s",
        "  1 × summary: HTTP 500",
        "  4 cells were done before and cost nothing now",
        "  summary: 5 done (0.1/s), 1 failed, cost 0.500, 0.100 each, 2 answers cut short by their limit on tokens",
        "8 calls, 2 answered 429 (25.0%); the limits allow them in 5.0 s at best",
        "  p/writer: 8 calls, 2 × 429, 1 failed; 0.5/s of 1.0/s that the provider's limits allow (50%); "
        "1,000 tokens in, 20 out; cost 0.500, 0.100 each",
        "cost: 0.500",
        "what the run waited for: 90% for answers",
        "shadow two: would have refused 1 of 8 requests",
    ]


def test_a_provider_without_known_limits_is_reported_by_the_limit_found() -> None:
    model = ModelTally(calls=5, answered=5, first_call_at=10.0, last_answer_at=20.0)
    lines = summary_lines(
        Assembled(1, 0, 3, {}),
        Tallies(4, {}, {"p/m": model}),
        {"p/m": AllowedRate(limit=7)},
        seconds=10.0,
        interrupted=True,
    )
    assert lines[0] == "4 rows: 1 done, 0 failed, 3 not done, in 10.0 s"
    assert lines[2] == "  p/m: 5 calls, 0 × 429; 0.5/s under a limit that ended at 7 in flight"
    assert lines[-1].startswith("interrupted")


def test_many_reasons_are_summarised_by_the_most_frequent() -> None:
    reasons = {f"reason {i}": i for i in range(1, 13)}
    lines = summary_lines(Assembled(0, 78, 0, reasons), Tallies(78, {}, {}), {}, seconds=1.0, interrupted=False)
    assert lines[1] == "  12 × reason 12"
    assert lines[-1] == "  10 × 4 other reasons"
