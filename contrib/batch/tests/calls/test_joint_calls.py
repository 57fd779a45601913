"""Several texts in a call: which go together, what each has of it, and whose fault a refusal is."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import Any, Final

import pytest
import trio
from contrib.batch.tests.calls.conftest import TextsTogether
from contrib.batch.tests.embedder import Embedder, vector_of
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from penstock_batch.calls.spending import Spending
from penstock_batch.money.budget import Budget
from penstock_batch.money.estimates import Estimates

Changed = Callable[[dict[str, Any]], Any]


def texts(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def refusing(*bad: str) -> Callable[[Sequence[str]], str | None]:
    return lambda asked: next((f"'{text}' is invalid" for text in asked if text in bad), None)


@pytest.mark.parametrize("apart", [None, 0.0], ids=["in one turn", "turn by turn"])
async def test_texts_that_are_ready_together_go_together(
    embedder: Embedder, apart: float | None, autojump_clock: MockClock
) -> None:
    together = TextsTogether(embedder)
    await together.all(texts(250), apart)
    assert sorted(embedder.sizes) == [50, 100, 100]
    assert together.vectors == {text: vector_of(text) for text in texts(250)}
    assert trio.current_time() < 3


async def test_a_text_that_comes_alone_goes_at_once(embedder: Embedder, autojump_clock: MockClock) -> None:
    together = TextsTogether(embedder)
    await together.all(texts(3), apart=5.0)
    assert embedder.sizes == [1, 1, 1]
    assert embedder.bodies[0] == {"model": "e", "input": "text 0"}  # as it would be sent without batch_size
    assert trio.current_time() < 16


async def test_what_comes_while_no_place_is_free_goes_along_when_one_is(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    together = TextsTogether(embedder, cap=1)
    await together.all(texts(41), apart=0.1)
    assert embedder.most_in_flight == 1
    assert embedder.sizes[:2] == [1, 10]
    assert len(embedder.asked) <= 6
    assert [text for call in embedder.asked for text in call] == texts(41)  # in the order in which they came


async def test_a_call_holds_no_more_tokens_than_it_may(embedder: Embedder, autojump_clock: MockClock) -> None:
    together = TextsTogether(embedder, batch_tokens=100)
    large = "a" * 396  # 100 tokens by itself
    larger = "b" * 1000
    small = [letter * 100 for letter in "cdefgh"]  # 26 each
    await together.all([large, *small, larger])
    assert sorted(map(len, embedder.asked)) == [1, 1, 3, 3]
    assert all(sum(len(text) // 4 + 1 for text in call) <= 100 or len(call) == 1 for call in embedder.asked)
    assert together.vectors.keys() == {large, larger, *small}


async def test_equal_texts_have_each_their_vector(embedder: Embedder, autojump_clock: MockClock) -> None:
    together = TextsTogether(embedder)
    await together.all(["same"] * 3)
    assert embedder.asked == [["same"] * 3]
    assert [answer.value for answer in together.kept["same"]] == [vector_of("same")] * 3


async def test_a_text_without_a_word_goes_alone_and_fails_alone(embedder: Embedder, autojump_clock: MockClock) -> None:
    embedder.refuses = lambda asked: None if all(text.strip() for text in asked) else "an input is empty"
    together = TextsTogether(embedder, give_up=2)
    await together.all(["a", "", "b", " ", "c", "\n", "\t", "d"])
    assert together.vectors.keys() == {"a", "b", "c", "d"}
    assert together.failed.keys() == {"", " ", "\n", "\t"}
    assert [call for call in embedder.asked if len(call) > 1] == [["a", "b", "c", "d"]]


async def test_the_usage_of_a_call_is_divided_among_its_texts_and_adds_up(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    together = TextsTogether(embedder)
    asked = ["x" * length for length in range(1, 60)]
    await together.all(asked)
    used = [together.kept[text][0].usage.input_tokens or 0 for text in asked]
    assert sum(used) == embedder.used == together.model.input_tokens
    assert all(abs(tokens - (len(text) // 3 + 1)) <= 2 for tokens, text in zip(used, asked, strict=True))
    costs = [together.kept[text][0].cost or 0.0 for text in asked]
    assert costs == pytest.approx([tokens / 1_000_000 for tokens in used])
    assert together.tallies.cost == pytest.approx(embedder.used / 1_000_000)
    assert (together.model.calls, together.model.answered, together.tallies.steps["s"].calls) == (1, 1, 1)


async def test_a_call_goes_to_the_disk_at_once_and_its_texts_come_back_after_that(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    together = TextsTogether(embedder)
    await together.all(texts(100))
    assert together.commits == 1


@pytest.mark.parametrize("bad", [1, 3, 100])
async def test_a_refused_call_is_halved_until_the_bad_texts_stand_alone(
    embedder: Embedder, bad: int, autojump_clock: MockClock
) -> None:
    wrong = texts(100)[:: 100 // bad][:bad]
    embedder.refuses = refusing(*wrong)
    together = TextsTogether(embedder, give_up=1000)
    await together.all(texts(100))
    assert together.vectors.keys() == set(texts(100)) - set(wrong)
    assert together.failed == {text: f"p: HTTP 400: '{text}' is invalid" for text in wrong}
    assert len(embedder.asked) <= 1 + 2 * bad * ceil(log2(100))
    assert max(embedder.embedded.values(), default=0) <= 1  # nothing is paid twice


async def test_bad_texts_do_not_give_a_model_up_that_answers_others(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    wrong = texts(800)[::25]
    embedder.refuses = lambda asked: "an input is too long" if set(asked) & set(wrong) else None  # in equal words
    together = TextsTogether(embedder, cap=8, give_up=3)
    await together.all(texts(800))
    assert together.failed.keys() == set(wrong)
    assert together.use.given_up is None


async def test_a_model_that_refuses_everything_is_given_up_after_some_calls(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    embedder.refuses = lambda asked: "dimensions is unknown"
    together = TextsTogether(embedder, give_up=5)
    await together.all(texts(800))
    assert len(together.failed) == 800
    assert together.use.given_up is not None
    assert len(embedder.asked) < 100


async def test_a_bad_key_is_the_failure_of_all_and_of_no_text(embedder: Embedder, autojump_clock: MockClock) -> None:
    embedder.statuses = [401] * 100
    together = TextsTogether(embedder)
    await together.all(texts(300))
    assert len(together.failed) == 300
    assert len(embedder.asked) <= 4
    assert together.failed["text 0"] == "p: HTTP 401: no"
    assert "was given up" in together.failed["text 299"]


@pytest.mark.parametrize("statuses", [[401], [402]])
async def test_an_endpoint_that_does_not_serve_us_leaves_all_texts_to_the_others(
    embedder: Embedder, statuses: list[int], autojump_clock: MockClock
) -> None:
    other = Embedder()
    embedder.statuses = statuses * 100
    together = TextsTogether(embedder, other, cap=1)
    await together.all(texts(500))
    assert together.failed == {}
    assert together.vectors == {text: vector_of(text) for text in texts(500)}
    assert len(embedder.asked) == 1
    assert set(other.embedded.values()) == {1}
    assert together.tallies.models["p@2/e"].answered == len(other.asked)


async def test_texts_of_a_call_whose_endpoint_is_given_up_go_to_another(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    other = Embedder()
    embedder.statuses = [500] * 100
    together = TextsTogether(embedder, other, cap=1, give_up=2)
    await together.all(texts(500))
    assert together.failed == {}
    assert set(other.embedded.values()) == {1}


async def test_endpoints_that_all_refuse_us_fail_all_texts(embedder: Embedder, autojump_clock: MockClock) -> None:
    other = Embedder()
    embedder.statuses, other.statuses = [401] * 100, [401] * 100
    together = TextsTogether(embedder, other, cap=1)
    await together.all(texts(50))
    assert together.failed == dict.fromkeys(texts(50), "p@2: HTTP 401: no")
    assert (len(embedder.asked), len(other.asked)) == (1, 1)
    await together.all(["late"])
    assert "was given up at all its endpoints, at p@2" in together.failed["late"]


@pytest.mark.parametrize("statuses", [[429], [429] * 5, [500], [503, 500]])
async def test_what_may_pass_is_tried_again_as_a_whole(
    embedder: Embedder, statuses: list[int], autojump_clock: MockClock
) -> None:
    embedder.statuses = list(statuses)
    together = TextsTogether(embedder)
    await together.all(texts(50))
    assert embedder.asked == [texts(50)] * (len(statuses) + 1) or embedder.sizes == [50] * (len(statuses) + 1)
    assert together.vectors.keys() == set(texts(50))
    assert set(embedder.embedded.values()) == {1}


async def test_what_does_not_pass_is_the_failure_of_all_its_texts(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    embedder.statuses = [500] * 4
    together = TextsTogether(embedder, give_up=1000)
    await together.all(texts(7))
    assert together.failed == dict.fromkeys(texts(7), "p: HTTP 500: no")
    assert embedder.sizes == [7] * 4


async def test_an_answer_that_does_not_come_in_time_is_the_failure_of_all(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    embedder.latency = 10.0
    together = TextsTogether(embedder, timeout=2.0, give_up=1000)
    await together.all(texts(3))
    assert together.failed == dict.fromkeys(texts(3), "p: no answer within 2 s")


async def test_who_waits_too_long_for_a_place_fails_and_who_came_later_does_not(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    embedder.latency = 10.0
    together = TextsTogether(embedder, cap=1)
    together.requests = {"queue_wait_timeout": 7.0}
    await together.all(texts(6), apart=1.0)  # the first goes, the second asks, and is refused after 8 s
    await together.all([])
    assert together.failed.keys() == {"text 1"}
    assert "not admitted: " in together.failed["text 1"]
    assert embedder.asked == [["text 0"], ["text 2", "text 3", "text 4", "text 5"]]


def without(at: int) -> Changed:
    return lambda body: {**body, "data": [item for item in body["data"] if item["index"] != at]}


def indexed(index: Callable[[int], object]) -> Changed:
    def change(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "data": [{**item, "index": index(item["index"])} for item in body["data"]]}

    return change


def embedded(vector: Callable[[int, list[float]], object]) -> Changed:
    def change(body: dict[str, Any]) -> dict[str, Any]:
        return {
            **body,
            "data": [{**item, "embedding": vector(item["index"], item["embedding"])} for item in body["data"]],
        }

    return change


def packed(_: int, vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (without(2), "the answer holds 3 vectors for 4 texts"),
        (lambda body: {**body, "data": [*body["data"], body["data"][0]]}, "the answer holds 5 vectors for 4 texts"),
        (lambda body: {**body, "data": body["data"][:1]}, "the answer holds 1 vector for 4 texts"),
        (indexed(lambda at: 0), "the indexes of the answer are not those of its 4 texts, each once"),
        (indexed(lambda at: at + 1), "the indexes of the answer are not those of its 4 texts, each once"),
        (indexed(lambda at: at or None), "the indexes of the answer are not those of its 4 texts, each once"),
        (indexed(str), "the indexes of the answer are not those of its 4 texts, each once"),
        (indexed(bool), "the indexes of the answer are not those of its 4 texts, each once"),
        (embedded(lambda at, vector: vector[at:]), "the answer holds vectors of different lengths (1 and 3)"),
        (embedded(lambda at, vector: None), "the embedding is no list of numbers"),
        (embedded(lambda at, vector: "?"), "the embedding is no list of numbers"),
    ],
)
async def test_vectors_that_cannot_be_told_apart_are_nobodys(
    embedder: Embedder, changed: Changed, reason: str, autojump_clock: MockClock
) -> None:
    embedder.changed = changed
    together = TextsTogether(embedder)
    await together.all(texts(4))
    assert together.failed == dict.fromkeys(texts(4), reason)
    assert together.vectors == {}
    assert embedder.sizes == [4]  # it was paid, and is not asked again


@pytest.mark.parametrize(
    "changed",
    [
        lambda body: {**body, "data": body["data"][::-1]},
        indexed(lambda at: None),
        embedded(packed),
        lambda body: {**body, "usage": None},
    ],
)
async def test_vectors_are_put_to_their_texts_whatever_their_order_and_encoding(
    embedder: Embedder, changed: Changed, autojump_clock: MockClock
) -> None:
    embedder.changed = changed
    together = TextsTogether(embedder)
    await together.all(texts(4))
    assert together.vectors == {text: vector_of(text) for text in texts(4)}


async def test_a_vector_that_is_none_is_its_own_texts_failure(embedder: Embedder, autojump_clock: MockClock) -> None:
    embedder.changed = embedded(lambda at, vector: [float("nan")] if at == 1 else ["x"] if at == 2 else vector)
    together = TextsTogether(embedder)
    await together.all(texts(4))
    assert sorted(together.failed) == sorted(embedder.asked[0][1:3])
    assert together.vectors.keys() == set(texts(4)) - together.failed.keys()


async def test_what_texts_have_cost_that_have_no_vector_counts(embedder: Embedder, autojump_clock: MockClock) -> None:
    budget = Budget(limit=1.0)
    embedder.changed = embedded(lambda at, vector: [float("nan")] if at == 1 else vector)
    together = TextsTogether(embedder, spending=Spending(budget, Estimates()))
    await together.all(texts(4))
    assert len(together.failed) == 1
    assert budget.spent == pytest.approx(embedder.used / 1_000_000)
    embedder.changed = embedded(lambda at, vector: [float("nan")])
    await together.all(texts(4))
    assert len(together.failed) == 4
    assert budget.spent == pytest.approx(embedder.used / 1_000_000)
    assert together.tallies.cost == pytest.approx(budget.spent)
    assert together.model.input_tokens == embedder.used


async def test_calls_in_flight_come_back_after_a_stop_and_no_other_goes_out(
    embedder: Embedder, autojump_clock: MockClock
) -> None:
    together = TextsTogether(embedder, cap=1, batch_size=10)

    async def stop() -> None:
        await trio.sleep(0.5)
        together.use.stop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        await together.all(texts(25))
    assert embedder.sizes == [10]
    assert together.vectors.keys() == set(texts(10))
    assert together.stopped == set(texts(25)[10:])
    assert together.failed == {}


async def test_a_budget_counts_each_text(embedder: Embedder, autojump_clock: MockClock) -> None:
    budget = Budget(limit=115 / 1_000_000)
    together = TextsTogether(embedder, spending=Spending(budget, Estimates()))
    asked = [f"{number:02}" + "x" * 28 for number in range(20)]  # 11 tokens each
    await together.all(asked)
    assert len(together.vectors) == 10
    assert budget.spent == pytest.approx(110 / 1_000_000)
    assert all(reason.startswith("not called, ") for reason in together.failed.values())
    assert sum(embedder.embedded.values()) == 10


ATTEMPTS: Final = 4
"""After so many failures in a row a call is given up."""


@given(
    size=st.integers(2, 9),
    cap=st.integers(1, 4),
    slots=st.none() | st.integers(1, 3),
    statuses=st.lists(st.sampled_from([200, 200, 429, 500]), max_size=6).filter(
        lambda said: said.count(500) < ATTEMPTS
    ),
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=40),
    bad=st.sets(st.integers(0, 39), max_size=6),
    apart=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=25, deadline=None)
def test_each_text_ends_with_its_own_vector_or_its_own_failure(
    size: int, cap: int, slots: int | None, statuses: list[int], lengths: list[int], bad: set[int], apart: float
) -> None:
    embedder = Embedder()
    embedder.slots, embedder.statuses = slots, list(statuses)
    asked = [f"{number} " + "x" * length for number, length in enumerate(lengths)]
    wrong = {text for number, text in enumerate(asked) if number in bad}
    embedder.refuses = refusing(*wrong)
    together = TextsTogether(embedder, cap=cap, batch_size=size, batch_tokens=25, give_up=1000)
    trio.run(together.all, asked, apart, clock=MockClock(autojump_threshold=0))
    # The naive model: each text by itself.
    assert together.vectors == {text: vector_of(text) for text in asked if text not in wrong}
    assert together.failed == {text: f"p: HTTP 400: '{text}' is invalid" for text in wrong}
    assert embedder.embedded == dict.fromkeys(set(asked) - wrong, 1)
    assert max(embedder.sizes) <= size
    assert embedder.most_in_flight <= cap
    assert together.model.in_flight == together.tallies.steps["s"].at_work == 0
    again = together.model.limited + statuses.count(500)
    bound = len(asked) if apart else 2 * ceil(len(asked) / size) + ceil(sum(len(text) // 4 + 1 for text in asked) / 13)
    assert len(embedder.asked) <= bound + 2 * len(wrong) * ceil(log2(size)) + again
