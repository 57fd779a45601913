"""What a run will take, and where that is known from."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import Usage
from penstock_batch.providers.models import StepModel
from penstock_batch.report.plan import KeptAnswers, RowCount, StepFacts, plan_lines, plan_of
from penstock_dialects import Prices

LARGE = StepModel("p/large", "p", "large", 10, prices=Prices(input=1.0, output=10.0))
FREE = StepModel("p/free", "p", "free", 10)


def kept(count: int, output: int | None, elapsed: float) -> KeptAnswers:
    answers = KeptAnswers()
    for _ in range(count):
        answers.add(Usage(1, output), elapsed)
    return answers


def facts(**changed: Any) -> StepFacts:
    return StepFacts(**{"name": "s", "kind": "chat", "model": LARGE, "calls": 1000, "bytes_asked": 400.0, **changed})


def test_kept_answers_tell_what_others_will_have() -> None:
    plan = plan_of(facts(answers=kept(4, 50, 2.0), most_output=400))
    assert (plan.input_tokens, plan.output_tokens, plan.output_from) == (100_000, 50_000, "kept")
    assert plan.cost == pytest.approx(0.1 + 0.5)
    assert plan.seconds == pytest.approx(1000 * 2.0 / 10)


def test_without_them_max_tokens_is_the_most() -> None:
    plan = plan_of(facts(most_output=400))
    assert (plan.output_tokens, plan.output_from, plan.seconds) == (400_000, "max_tokens", None)
    assert plan.cost == pytest.approx(0.1 + 4.0)


def test_without_either_neither_output_nor_cost_is_known() -> None:
    plan = plan_of(facts())
    assert (plan.output_tokens, plan.output_from, plan.cost) == (None, "unknown", None)


def test_answers_that_did_not_tell_their_usage_tell_nothing() -> None:
    assert plan_of(facts(answers=kept(4, None, 2.0))).output_from == "unknown"


def test_where_nobody_knows_how_many_rows_there_will_be_nothing_is_known() -> None:
    plan = plan_of(facts(calls=None, most_output=400, answers=kept(4, 50, 2.0)))
    assert (plan.input_tokens, plan.output_tokens, plan.cost, plan.seconds) == (None, None, None, None)
    said = plan_lines([plan, plan_of(facts(name="t", most_output=400))], budget=10.0)
    assert "calls to p/large unknown, since nobody knows yet how many rows there will be" in said[0]
    assert said[2:4] == [
        "cost: at most 4.10, and what s will cost, which is unknown",
        "budget: 10.00, of which 0 is spent",
    ]


def test_what_is_estimated_is_about_so_much() -> None:
    said = plan_lines([plan_of(facts(sure="about", answers=kept(4, 50, 2.0)))])
    assert said[0].startswith("  s: about 1,000 calls to p/large; ")
    assert said[1].startswith("cost: about ")
    assert said[2].startswith("time: about 3 min 20 s, by p/large")


@pytest.mark.parametrize(
    ("before", "kind", "made", "of", "after"),
    [
        (RowCount(100), "split", 24, 8, RowCount(300, "about")),
        (RowCount(100), "split", 0, 0, RowCount(None)),
        (RowCount(100), "filter", 2, 8, RowCount(25, "about")),
        (RowCount(100), "filter", 0, 0, RowCount(100, "at most")),
        (RowCount(100, "about"), "filter", 0, 0, RowCount(100, "about")),
        (RowCount(None), "filter", 0, 0, RowCount(None, "at most")),
        (RowCount(100), "gather by", 3, 9, RowCount(100, "at most")),
        (RowCount(None), "gather", 1, 9, RowCount(1)),
    ],
)
def test_how_many_rows_there_will_be_follows_from_what_is_known(
    before: RowCount, kind: str, made: int, of: int, after: RowCount
) -> None:
    kind, _, by = kind.partition(" ")
    assert before.behind(kind, bool(by), made, of) == after


def test_an_embedding_costs_its_input() -> None:
    plan = plan_of(facts(kind="embedding"))
    assert plan.cost == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("cells", "most", "tokens", "calls"),
    [(1000, 100, 100_000, 10), (1001, 100, 100_000, 11), (1000, 100, 5000, 20), (1, 100, 10, 1), (0, 100, 10, 0)],
)
def test_texts_that_go_together_are_fewer_calls(cells: int, most: int, tokens: int, calls: int) -> None:
    step = facts(kind="embedding", calls=cells, batch_size=most, batch_tokens=tokens, answers=kept(4, None, 2.0))
    plan = plan_of(step)
    assert (plan.calls, plan.texts, plan.input_tokens) == (calls, cells, cells * 100)
    assert plan.seconds == pytest.approx(calls * 2.0 / 10)
    assert plan.cost == pytest.approx(cells * 100 / 1_000_000)


def test_what_cannot_be_rendered_has_no_tokens() -> None:
    plan = plan_of(facts(bytes_asked=None, most_output=10))
    assert (plan.input_tokens, plan.cost) == (None, None)


def lines(*steps: StepFacts, **money: Any) -> list[str]:
    return plan_lines([plan_of(step) for step in steps], **money)


def test_a_plan_says_what_it_is_from() -> None:
    assert lines(
        facts(name="summary", answers=kept(4, 50, 2.0), kept=4),
        facts(name="title", most_output=20, stand_ins=True),
        facts(name="length", kind="python", model=None),
        facts(name="vector", kind="embedding", model=FREE, batch_size=100, kept=2),
    ) == [
        "  summary: 1,000 calls to p/large, 4 kept; 100,000 tokens in, 50,000 out by kept answers; 0.600",
        "  title: 1,000 calls to p/large; 100,000 tokens in (with stand-ins for what steps before will say), "
        "20,000 out at most, by max_tokens; at most 0.300",
        "  length: 1,000 to be computed",
        "  vector: 10 calls to p/free for 1,000 texts, 2 kept; 100,000 tokens in",
        "cost: at most 0.900, and what vector will cost, which is unknown",
        "time: at least 3 min 20 s, by p/large with max_parallel_requests calls always out; "
        "of title, vector nothing is known",
    ]


def test_what_is_unknown_is_said_to_be() -> None:
    assert lines(facts())[1:] == ["cost: unknown", "time: unknown, since no answer of s is kept"]
    free = facts(name="free", model=FREE, answers=kept(1, 1, 1.0))
    assert lines(facts(most_output=1), free)[2] == "cost: at most 0.110, and what free will cost, which is unknown"


def test_where_nothing_is_left_nothing_is_unknown() -> None:
    assert lines(facts(calls=0, kept=1000))[1:] == ["cost: nothing", "time: none"]


@pytest.mark.parametrize(
    ("spent", "said", "word"), [(0.0, "0", "; it is enough"), (8.0, "8.00", "; it may stop the run before its end")]
)
def test_a_plan_says_whether_the_budget_is_enough(spent: float, said: str, word: str) -> None:
    assert lines(facts(most_output=400), budget=10.0, spent=spent)[2] == (
        f"budget: 10.00, of which {said} is spent{word}"
    )


def test_of_a_budget_for_what_is_unknown_nothing_is_said() -> None:
    assert lines(facts(), budget=10.0)[2] == "budget: 10.00, of which 0 is spent"


def test_a_plan_names_the_fallback_that_it_does_not_count() -> None:
    dear = StepModel("p/dear", "p", "dear", 10, prices=Prices(input=2.0, output=20.0))
    said = lines(facts(answers=kept(4, 50, 2.0), fallback=[dear, FREE]))
    assert said[0].endswith("; 0.600; not counted is what its fallback would answer: p/dear (1.20 for all), p/free")
    assert said[1] == "cost: 0.600"


def test_one_call_is_a_call() -> None:
    assert lines(facts(calls=1, bytes_asked=4.0, empty=2))[0].startswith("  s: 1 call to p/large, 2 empty; 1 token in")
