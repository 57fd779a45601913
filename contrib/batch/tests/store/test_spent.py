"""What a store's answers have cost, added up run by run."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import Usage
from penstock_batch.store.answer import Answer
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.spent import LOST, SPENT, Spent, StepSpent, spent_of
from penstock_batch.store.store import Store


def answers(path: Path, *costs: float | None, step: str = "s") -> None:
    with Store(path) as store:
        for cost in costs:
            answer = Answer(value="x", text="x", cost=cost, usage=Usage(1, None if cost is None else int(cost)))
            store.add(b"k" * 16, step, answer)
        store.commit()


def spent(path: Path, *, note: bool = False) -> Spent:
    with StoreReader(path) as reader:
        found = spent_of(reader.ask)
    if note:
        with Store(path) as store:
            store.note(SPENT, found.as_text())
            store.commit()
    return found


def test_each_step_has_its_sum_and_its_largest_answer(tmp_path: Path) -> None:
    path = tmp_path / "store"
    answers(path, 1.0, None, 3.0)
    answers(path, 5.0, step="t")
    assert spent(path).steps == {"s": StepSpent(3, 4.0, 3), "t": StepSpent(1, 5.0, 5)}
    assert spent(path).cost == 9.0


@pytest.mark.parametrize("dropped", [1.0, 2.0])
def test_what_was_dropped_since_is_spent_all_the_same(tmp_path: Path, dropped: float) -> None:
    path = tmp_path / "store"
    answers(path, 1.0, 2.0)
    spent(path, note=True)
    with Store(path) as store:
        store.drop("cost = ?", (dropped,))
        store.commit()
    answers(path, 4.0)
    assert spent(path).steps == {"s": StepSpent(3, 7.0, 4)}


def test_a_note_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "store"
    answers(path, 1.0)
    with Store(path) as store:
        store.note(SPENT, "[1")
        store.commit()
    assert spent(path).cost == 1.0


def test_what_was_paid_for_answers_that_are_not_kept_is_spent(tmp_path: Path) -> None:
    path = tmp_path / "store"
    answers(path, 1.0)
    with Store(path) as store:
        store.note(LOST, '{"s": 2.5, "t": 1}')
        store.commit()
    assert spent(path, note=True).cost == spent(path).cost == 4.5


def test_where_there_is_no_store_nothing_was_spent(tmp_path: Path) -> None:
    assert spent(tmp_path / "none") == Spent()


@pytest.mark.parametrize("key", [b"k" * 16, b"l" * 16])
def test_a_reader_finds_what_the_store_does_while_that_is_held(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "store"
    answers(path, 1.0, 2.0)
    with Store(path) as store, StoreReader(path) as reader:
        assert reader.find([key]) == store.find([key])
