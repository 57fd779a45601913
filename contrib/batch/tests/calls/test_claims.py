"""Whose answer is whose: each row keeps its own, however rows come, and what is free goes to who asks the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random

import attrs
import pytest

from penstock_batch.calls.asking import NotAsked
from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer
from penstock_batch.store.store import Store

ASKING = Step(name="a", kind="python", uses=frozenset({"x"}), arguments=("x",), code="1")
NUMBERS = count()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


def answered(store: Store, rows: Sequence[tuple[int, str]], step: Step = ASKING) -> dict[int, tuple[str, bool]]:
    """What each row (its digest, and what it asks for) has in a run, and whether it was asked for it just now."""
    claims = Claims(store, [digest for digest, _ in rows])
    nothing: dict[str, str] = {}
    given = [(claims.identity(digest), {"x": asked}, nothing) for digest, asked in rows]
    had: dict[int, tuple[str, bool]] = {}
    found = claims.claim_all(step, given)
    for claim in found:
        assert isinstance(claim, Claim)
        new = not claim.answers
        if new:
            answer = Answer(value=f"answer {next(NUMBERS)}", row=claim.row)
            store.add(claim.key, step.name, answer)
            claim.answers = (answer,)
        claims.release(claim)
        had[claim.row] = (claim.answers[0].value, new)
    store.commit()
    return had


def values(had: dict[int, tuple[str, bool]]) -> dict[int, str]:
    return {row: value for row, (value, _) in had.items()}


def test_equal_calls_of_several_rows_have_an_answer_each_and_keep_it_in_any_order(store: Store) -> None:
    rows = [(number + 2, "same" if number % 3 else "other") for number in range(12)]
    first = answered(store, rows)
    assert len(set(values(first).values())) == 12
    for seed in range(5):
        Random(seed).shuffle(rows)
        again = answered(store, rows)
        assert not any(new for _, new in again.values())
        assert values(again) == values(first)


def test_a_row_that_comes_in_front_takes_nobodys_answer(store: Store) -> None:
    first = answered(store, [(5, "same"), (6, "same")])
    more = answered(store, [(9, "same"), (6, "same"), (5, "same")])
    assert [new for _, new in more.values()].count(True) == 1
    assert {row: value for row, value in values(more).items() if row in first} == values(first)


def test_rows_that_have_changed_where_the_step_does_not_look_take_over_what_their_forerunners_had(store: Store) -> None:
    first = answered(store, [(number, "same") for number in range(10, 16)])
    changed = answered(store, [(number, "same") for number in range(20, 26)])
    assert not any(new for _, new in changed.values())
    assert sorted(values(changed).values()) == sorted(values(first).values())
    assert values(answered(store, [(number, "same") for number in range(25, 19, -1)])) == values(changed)


def test_equal_rows_have_answers_of_their_own(store: Store) -> None:
    first = answered(store, [(7, "same")] * 4)
    assert len(set(values(first).values())) == 4
    assert values(answered(store, [(7, "same")] * 4)) == values(first)
    assert [new for _, new in answered(store, [(7, "same")] * 5).values()].count(True) == 1


def test_a_step_that_shares_has_one_answer_for_all(store: Store) -> None:
    sharing = attrs.evolve(ASKING, share=True)
    claims = Claims(store, [])
    keys = {claim.key for claim in claims.claim_all(sharing, [(row, {"x": 1}, {}) for row in (3, 4, 5)])}  # type: ignore[union-attr]
    assert len(keys) == 1


def test_two_steps_of_a_row_that_ask_the_same_are_one_cell(store: Store) -> None:
    claims = Claims(store, [1, 2])
    one, two = (claims.claim(step, 7, {"x": 1}, {}) for step in (ASKING, attrs.evolve(ASKING, name="b")))
    other = claims.claim(ASKING, 8, {"x": 1}, {})
    assert one.key == two.key != other.key


def test_a_cell_that_was_let_go_unanswered_is_for_who_comes_next(store: Store) -> None:
    claims = Claims(store, [1, 2])
    failed = claims.claim(ASKING, 7, {"x": 1}, {})
    claims.release(failed)
    assert claims.claim(ASKING, 8, {"x": 1}, {}).key == failed.key


def test_a_row_without_what_is_asked_has_no_cell(store: Store) -> None:
    with pytest.raises(NotAsked, match="no column 'x'"):
        Claims(store, []).claim(ASKING, 1, {}, {})


def test_thousands_of_equal_calls_take_time_for_each_and_not_for_each_pair(store: Store) -> None:
    questions = 0
    find = store.find

    def counted(keys: Sequence[bytes]) -> dict[bytes, tuple[Answer, ...]]:
        nonlocal questions
        questions += 1
        return find(keys)

    store.find = counted  # type: ignore[method-assign]
    rows = [(number + 2, "same") for number in range(2000)]
    answered(store, rows)
    answered(store, rows)
    assert questions < 4 * 2000
