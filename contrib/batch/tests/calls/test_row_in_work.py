from __future__ import annotations

import pytest

from penstock_batch.calls.row_in_work import RowInWork
from penstock_batch.rows.reader import Row

NEEDS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def row(**finished: object) -> RowInWork:
    return RowInWork(Row(7, 8, {"text": "x"}), 0, NEEDS, finished, {})


def test_a_fresh_row_can_do_what_needs_nothing() -> None:
    fresh = row()
    assert fresh.could_do == {"a"}
    assert fresh.to_do == ["a", "b", "c", "d"]
    assert fresh.waits_for("d") == ["b", "c"]


def test_a_cell_that_is_done_frees_those_that_need_it() -> None:
    fresh = row()
    fresh.done("a", "one")
    assert fresh.could_do == {"b", "c"}
    fresh.done("c", "two")
    assert fresh.could_do == {"b"}
    assert fresh.values == {"text": "x", "a": "one", "c": "two"}
    assert fresh.waits_for("d") == ["b"]


def test_a_resumed_row_begins_where_it_stopped() -> None:
    resumed = row(a="one", c="two")
    assert resumed.could_do == {"b"}
    assert resumed.to_do == ["b", "d"]
    assert resumed.values["c"] == "two"


def test_a_row_is_over_when_no_cell_can_change_any_more() -> None:
    failing = row(a="one")
    failing.ended("b")
    failing.ended("d")
    before = failing.over
    failing.done("c", "two")
    assert (before, failing.over) == (False, True)
    assert failing.to_do == ["b", "d"]


def test_a_cell_ends_once() -> None:
    fresh = row()
    fresh.ended("a")
    with pytest.raises(KeyError):
        fresh.done("a", "late")
