"""What is kept of rows before anything is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.pipeline.accepting import Accept
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import PromptTemplate
from penstock_batch.pipeline.turns import Turn
from penstock_batch.providers.models import StepModel
from penstock_batch.rows.reader import Row
from penstock_batch.running.kept_rows import KeptRow, KeptRows
from penstock_batch.store.answer import Answer
from penstock_batch.store.store import Store

ROWS = [Row(n, n + 1, {"id": n, "text": f"row {n}"}, digest=n) for n in range(3)]
DIGESTS = [row.digest for row in ROWS]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "out.store") as opened:
        yield opened


def chat(**more: Any) -> Step:
    turns = [Turn("user", PromptTemplate("{{ text }}"))]
    model = StepModel("p/m", "p", "m", 4)
    return Step(name="s", kind="chat", uses=frozenset({"text"}), model=model, turns=turns, **more)


def answered(store: Store, step: Step, *texts: str) -> None:
    """Put an answer to each sample of each row into the store."""
    claims = Claims(store, DIGESTS)
    for row in ROWS:
        claim = claims.claim(step, claims.identity(row.digest), row.values, row.values)
        for sample, text in zip(claim.samples, texts, strict=False):
            store.add(sample.key, step.name, Answer(value=text, text=text, ended="stop"))


def kept(store: Store, step: Step, *, leave_slow: bool = True) -> list[KeptRow]:
    return KeptRows([step], {step.name: ()}, Claims(store, DIGESTS)).of(ROWS, leave_slow=leave_slow)


def test_what_is_kept_is_judged_before_anything_is_called(store: Store) -> None:
    answered(store, chat(), "x")
    strict = chat(criteria=Criteria(accept=Accept(lambda value, id: id != 1, ("id",))))
    assert [row.finished for row in kept(store, strict)] == [{"s": "x"}, {}, {"s": "x"}]
    assert [list(row.claims) for row in kept(store, strict)] == [[], ["s"], []]


def test_a_function_that_is_slow_is_left_to_threads_while_a_run_is_under_way(store: Store) -> None:
    answered(store, chat(), "x")
    slow = chat(criteria=Criteria(accept=Accept(lambda value: True, slow=True)))
    assert [row.finished for row in kept(store, slow)] == [{}, {}, {}]
    assert [row.claims["s"].answers[0].value for row in kept(store, slow)] == ["x", "x", "x"]
    assert [row.finished for row in kept(store, slow, leave_slow=False)] == [{"s": "x"}] * 3


def test_a_function_that_took_long_once_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Accept(lambda value: True)
    accept.objection("x", {})
    assert not accept.slow
    moments = iter([0.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr("penstock_batch.pipeline.accepting.time.monotonic", lambda: next(moments))
    accept.objection("x", {})
    accept.objection("x", {})
    assert accept.slow


def test_a_cell_that_a_row_does_not_want_is_over_and_claims_nothing(store: Store) -> None:
    wanted = chat(when=PromptTemplate("{{ id == 1 }}"))
    rows = kept(store, wanted)
    assert [row.finished for row in rows] == [{"s": None}, {}, {"s": None}]
    assert [list(row.claims) for row in rows] == [[], ["s"], []]


def test_a_condition_that_cannot_be_filled_in_is_told_later(store: Store) -> None:
    rows = kept(store, chat(when=PromptTemplate("{{ none.such }}")))
    assert [(row.finished, row.claims) for row in rows] == [({}, {})] * 3


def test_all_samples_must_be_there(store: Store) -> None:
    answered(store, chat(samples=2), "a", "b")
    assert [row.finished for row in kept(store, chat(samples=2))] == [{"s": ["a", "b"]}] * 3
    assert [row.finished for row in kept(store, chat())] == [{"s": "a"}] * 3
    more = kept(store, chat(samples=3))
    assert [row.finished for row in more] == [{}] * 3
    assert [len(sample.answers) for sample in more[0].claims["s"].samples] == [1, 1, 0]


def test_a_value_becomes_columns(store: Store) -> None:
    answered(store, chat(), '{"a": 1}')
    (row, *_) = kept(store, chat(criteria=Criteria(as_json=True, columns=("a", "b"))))
    assert row.values == {"id": 0, "text": "row 0", "s": {"a": 1}, "a": 1, "b": None}


def test_cells_of_samples_have_keys_of_their_own(store: Store) -> None:
    claims = Claims(store, [9, 9])
    found = [claims.claim(chat(samples=3), claims.identity(9), {"text": "same"}, {}) for _ in range(2)]
    keys = [sample.key for claim in found for sample in claim.samples]
    assert len(set(keys)) == 6
    assert all(isinstance(claim, Claim) for claim in found)
