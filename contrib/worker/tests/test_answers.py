"""Whatever a handler returns or raises, one line is made of it that the parent takes for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock import FailureMark, mark_failure
from penstock_worker.answers import RetryableError, error_answer, failure_answer, result_answer, start_error
from penstock_worker.serving import LoadFailed
from penstock_worker.testing import Outcome, Parent


def outcome_of(answer: bytes) -> Outcome:
    """What a parent that is ready makes of the answer to `x1`."""
    parent = Parent()
    parent.read(b'{"status":"ready"}\n', 0.0)
    parent.line("x1")
    parent.read(answer, 1.0)
    assert parent.warnings == []
    return parent.outcomes["x1"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_a_result_arrives_as_it_was(value: Any) -> None:
    outcome = outcome_of(result_answer("x1", value))

    assert (outcome.kind, outcome.value) == ("success", value)


@given(st.text(st.characters(codec=None), min_size=1))
def test_half_a_character_arrives_as_an_escape(text: str) -> None:
    assert outcome_of(result_answer("x1", text)).value == text


class Rude(dict[str, int]):
    def items(self) -> Any:
        raise SystemExit(3)


class Silent(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda: float("nan"),
        lambda: [float("inf")],
        lambda: {float("nan"): 1},
        lambda: {1, 2},
        lambda: b"bytes",
        lambda: object(),
        lambda: {(1, 2): 3},
        lambda: 10**5000,
        circle,
        deep,
        lambda: Rude(a=1),
    ],
    ids=[
        "nan",
        "infinity",
        "nan as a key",
        "set",
        "bytes",
        "object",
        "tuple as a key",
        "huge",
        "circle",
        "deep",
        "rude",
    ],
)
def test_a_result_that_is_no_json_is_an_error(make: Callable[[], Any]) -> None:
    outcome = outcome_of(result_answer("x1", make()))

    assert outcome.kind == "failure"
    assert outcome.value.startswith("the result cannot be written as JSON: ")


def test_a_result_above_the_limit_is_an_error_and_the_parent_reads_on() -> None:
    outcome = outcome_of(result_answer("x1", "é" * 6_000_000))

    assert outcome.kind == "failure"
    assert "10,000,000" in outcome.value


def test_a_result_just_within_the_limit_arrives() -> None:
    frame = len(result_answer("x1", ""))

    assert outcome_of(result_answer("x1", "a" * (10_000_000 - frame))).kind == "success"
    assert outcome_of(result_answer("x1", "a" * (10_000_001 - frame))).kind == "failure"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (ValueError(""), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
        (Silent(), "an exception: which cannot be shown"),
        (ValueError("\ud800"), "ValueError: \ud800"),
        (
            ExceptionGroup("two", [ValueError("a"), ExceptionGroup("in", [OSError("b")])]),
            "ExceptionGroup: two (2 sub-exceptions); ValueError: a; ExceptionGroup: in (1 sub-exception); OSError: b",
        ),
    ],
    ids=["words", "none", "empty", "interrupt", "exit", "silent", "half a character", "group"],
)
def test_an_error_says_what_was_raised_and_is_never_empty(error: BaseException, words: str) -> None:
    outcome = outcome_of(failure_answer("x1", error))

    assert (outcome.kind, outcome.value) == ("failure", words)


def test_words_that_are_too_many_are_cut() -> None:
    assert len(outcome_of(failure_answer("x1", ValueError("a" * 20_000_000))).value) < 10_100


def test_retry_is_asked_for_where_another_try_may_succeed() -> None:
    refused = RuntimeError("429")
    mark_failure(refused, FailureMark("rate_limited", retryable=True))

    asked = [json.loads(failure_answer("x1", error))["retry"] for error in (ValueError(), RetryableError(), refused)]

    assert asked == [False, True, True]


def test_an_id_above_the_limit_is_not_answered() -> None:
    assert error_answer("x" * 2_000, "no", longest=1_000) == b""
    assert result_answer("x" * 2_000, 1, 1_000) == b""


def test_a_start_that_failed_says_so() -> None:
    parent = Parent()

    parent.read(start_error(LoadFailed("RuntimeError: no model")), 0.0)

    assert (parent.status, parent.start_error) == ("error", "@load failed: RuntimeError: no model")
