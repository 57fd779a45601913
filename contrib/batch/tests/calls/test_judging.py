from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, strategies as st

from penstock import ENDINGS, Ended
from penstock_batch.calls.judging import Accepted, Rejected, judge, last_words
from penstock_batch.pipeline.accepting import Accept
from penstock_batch.pipeline.answer_schema import AnswerSchema
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer

NUMBER = AnswerSchema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


def step(kind: Literal["chat", "embedding", "python"] = "chat", **criteria: Any) -> Step:
    return Step(name="s", kind=kind, uses=frozenset(), criteria=Criteria(**criteria))


def said(text: str, ended: Ended = "stop", **more: Any) -> Answer:
    return Answer(value=text, text=text, ended=ended, **more)


def by(function: Callable[..., Any], *wanted: str) -> Accept:
    return Accept(function, wanted)


def rejected(judging: Step, *answers: Answer, **values: Any) -> Rejected:
    judged = judge(judging, answers, values)
    assert isinstance(judged, Rejected)
    return judged


CALLS = said("", "tool_calls", tool_calls=({"name": "f", "arguments": "{}"},))
CALLS_VALUE = {"text": "", "tool_calls": [{"name": "f", "arguments": "{}"}]}

# -- how it ended --


@pytest.mark.parametrize("ended", [each for each in ENDINGS if each != "stop"])
def test_only_a_whole_answer_is_accepted_unless_said(ended: Ended) -> None:
    judged = rejected(step(), said("some text", ended))
    assert repr(ended) in judged.reason
    assert judge(step(ended=frozenset(("stop", ended))), [said("some text", ended)], {}) == Accepted("some text")


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_without_text_is_accepted_only_where_that_is_said(text: str) -> None:
    assert "'empty'" in rejected(step(), said(text)).reason
    assert judge(step(ended=frozenset(("empty",))), [said(text)], {}) == Accepted(text)
    assert judge(step(ended=frozenset(("empty",)), as_json=True, schema=NUMBER), [said(text)], {}) == Accepted(None)


@pytest.mark.parametrize("ended", ["refusal", "content_filter"])
def test_what_a_model_will_not_say_is_not_asked_again(ended: Ended) -> None:
    assert rejected(step(), said("I cannot", ended)).then == "later"


def test_a_refusal_is_told_in_its_own_words() -> None:
    answer = Answer(value=None, refusal="I\nwill not", ended="refusal")
    assert "the model refused: I will not" in rejected(step(), answer).reason
    assert last_words([answer]) == "I will not".replace(" ", "\n", 1)


def test_a_call_of_tools_is_no_text_that_a_schema_could_judge() -> None:
    answer = Answer(value=CALLS_VALUE, text="", ended="tool_calls", tool_calls=CALLS.tool_calls)
    asked = step(ended=frozenset(("stop", "tool_calls")), as_json=True, schema=NUMBER, columns=("n",))
    read = {"text": "", "tool_calls": [{"id": None, "name": "f", "arguments": {}}]}
    assert judge(asked, [answer], {}) == Accepted(read)
    assert last_words([answer]) == CALLS_VALUE


# -- JSON --


def test_json_is_taken_out_of_the_text() -> None:
    judged = judge(step(as_json=True, schema=NUMBER), [said('Here:\n```json\n{"n": 1}\n```')], {})
    assert judged == Accepted({"n": 1})


def test_a_schema_without_json_wanted_keeps_the_text_and_judges_it_as_a_text() -> None:
    schema = AnswerSchema({"type": "string", "maxLength": 5})
    assert judge(step(schema=schema), [said("short")], {}) == Accepted("short")
    assert isinstance(judge(step(schema=schema), [said("too long")], {}), Rejected)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing", "no JSON: Expecting value"),
        ('{"n": "1"}', "n: '1' is not of type 'integer'"),
        ('{"m": 1}', "'n' is a required"),
    ],
)
def test_what_is_wrong_with_an_answer_goes_back_to_the_model(text: str, told: str) -> None:
    judged = rejected(step(as_json=True, schema=NUMBER), said(text))
    assert judged.then == "repair"
    assert told in judged.told
    assert told in judged.reason


def test_without_repair_the_same_is_asked_afresh() -> None:
    assert rejected(step(as_json=True, repair=False), said("nothing")).then == "fresh"


def test_what_has_no_text_cannot_be_repaired() -> None:
    assert rejected(step(), said("")).then == "fresh"
    assert rejected(step(), said("some", "paused")).then == "fresh"


def test_a_value_that_becomes_columns_is_an_object() -> None:
    judged = rejected(step(as_json=True, columns=("a",)), said("[1]"))
    assert "no object" in judged.reason


def test_what_cannot_be_judged_is_not_paid_for_again() -> None:
    schema = AnswerSchema({"pattern": "^(a|aa)+$"})
    assert rejected(step(schema=schema), said("a" * 5000 + "!")).then == "nothing"


# -- by a function --


def test_a_function_judges_the_value_with_what_the_row_has() -> None:
    shorter = by(lambda value, text: len(value) < len(text) or "it is no summary", "text")
    assert judge(step(accept=shorter), [said("abc")], {"text": "abcd", "other": 1}) == Accepted("abc")
    judged = rejected(step(accept=shorter), said("abc"), text="ab")
    assert (judged.then, judged.told) == ("repair", "it is no summary")


def raising(error: BaseException) -> Callable[[Any], None]:
    def accept(value: Any) -> None:
        raise error

    return accept


@pytest.mark.parametrize("ok", [None, True, "", "  "])
def test_a_function_accepts_with_nothing_or_true(ok: object) -> None:
    assert judge(step(accept=by(lambda _: ok)), [said("x")], {}) == Accepted("x")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda _: False, "it was not accepted"),
        (lambda _: "too\nlong", "too long"),
        (raising(ValueError("too long")), "ValueError: too long"),
        (raising(AssertionError("no")), "AssertionError: no"),
    ],
)
def test_a_function_says_what_is_wrong_in_several_ways(function: Callable[..., Any], reason: str) -> None:
    judged = rejected(step(accept=by(function)), said("x"))
    assert (judged.told, judged.then) == (reason, "repair")


class Odd:
    def __bool__(self) -> bool:
        raise KeyError

    __eq__ = __str__ = __repr__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "function",
    [
        lambda _: 0,
        lambda _: 1,
        lambda _: Odd(),
        lambda: None,
        raising(TypeError()),
        raising(KeyError("x")),
        raising(ExceptionGroup("", [ValueError()])),
        raising(MemoryError()),
        raising(RecursionError()),
        raising(KeyboardInterrupt()),
        raising(SystemExit(0)),
        raising(GeneratorExit()),
        raising(asyncio.CancelledError()),
        raising(BaseExceptionGroup("", [KeyboardInterrupt()])),
    ],
)
def test_a_function_that_goes_wrong_costs_no_further_answer(function: Callable[..., Any]) -> None:
    judged = rejected(step(accept=by(function)), said("x"))
    assert judged.then == "nothing"
    assert "accept" in judged.reason


def test_a_function_that_is_not_given_what_it_takes_says_so() -> None:
    assert "no column 'text'" in rejected(step(accept=by(lambda v, text: None, "text")), said("x")).reason


def test_a_function_cannot_change_the_value_that_it_judges() -> None:
    def spoil(value: dict[str, Any]) -> None:
        value["n"] = 2

    assert judge(step(as_json=True, accept=by(spoil)), [said('{"n": 1}')], {}) == Accepted({"n": 1})


def test_results_of_functions_are_judged_too() -> None:
    asked = step("python", schema=NUMBER, accept=by(lambda value: value["n"] > 0))
    assert judge(asked, [Answer(value={"n": 1})], {}) == Accepted({"n": 1})
    assert rejected(asked, Answer(value={"n": 0})).then == "fresh"
    assert rejected(asked, Answer(value={"n": "x"})).then == "fresh"


def test_a_vector_is_accepted_as_it_is() -> None:
    assert judge(step("embedding"), [Answer(value=[0.5, 1.0])], {}) == Accepted([0.5, 1.0])


# -- several answers --


def test_no_answer_is_a_reason_to_ask() -> None:
    assert rejected(step()).then == "fresh"


def test_of_several_that_are_accepted_the_last_counts() -> None:
    assert judge(step(), [said("a"), said("b"), said("", "stop")], {}) == Accepted("b")


def test_of_several_that_are_not_the_last_says_why() -> None:
    judged = rejected(step(as_json=True, schema=NUMBER), said('{"n": "1"}'), said("sorry"))
    assert "no JSON" in judged.reason
    assert last_words([said('{"n": "1"}'), said("sorry")]) == "sorry"


LENGTHS = st.lists(st.integers(0, 9), max_size=6)


def at_most(longest: int) -> Step:
    return step(accept=by(lambda value: len(value) <= longest))


def asked_until_accepted(kept: list[int], to_come: list[int], longest: int) -> list[int]:
    """The answers that a cell has after a run: those that were kept, and new ones until one is accepted."""
    answers = list(kept)
    for new in to_come:
        if isinstance(judge(at_most(longest), [said("x" * n) for n in answers], {}), Accepted):
            break
        answers.append(new + 1)
    return answers


@given(LENGTHS, LENGTHS, st.integers(1, 10), st.integers(0, 9))
def test_to_ask_less_costs_nothing_and_changes_no_value(
    kept: list[int], to_come: list[int], strict: int, more: int
) -> None:
    answers = asked_until_accepted([], [n + 1 for n in kept], strict)
    before = judge(at_most(strict), [said("x" * n) for n in answers], {})
    loosened = asked_until_accepted(answers, to_come, strict + more)
    if isinstance(before, Accepted):
        assert loosened == answers
        assert judge(at_most(strict + more), [said("x" * n) for n in answers], {}) == before


@given(LENGTHS, LENGTHS, st.integers(1, 10), st.integers(1, 10))
def test_to_ask_more_asks_only_where_no_answer_fulfils_it(
    first: list[int], to_come: list[int], before: int, now: int
) -> None:
    answers = asked_until_accepted([], [n + 1 for n in first], before)
    after = asked_until_accepted(answers, to_come, now)
    assert (after == answers) == (not to_come or any(0 < n <= now for n in answers))
