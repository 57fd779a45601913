from __future__ import annotations

import pytest

from penstock_batch.running.window import RowWindow


def frozen(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_each_row_gives_back_its_own_place() -> None:
    window = RowWindow(3, 0)
    for row in range(3):
        window.enter(row, frozen("a"))
    assert window.room() == 0
    window.leave(1)
    assert window.room() == 1
    assert len(window) == 2


def test_a_row_that_can_only_wait_holds_no_place() -> None:
    window = RowWindow(3, 10)
    window.enter(0, frozen("a"))
    window.enter(1, frozen("b"))
    window.enter(2, frozen("a", "b"))
    assert window.room({"b"}) == 1
    assert window.room({"a", "b"}) == 3
    window.change(0, frozen("b"))
    assert window.room({"b"}) == 2
    assert window.room() == 0


def test_a_row_whose_cells_all_run_elsewhere_is_not_waiting() -> None:
    window = RowWindow(2, 10)
    window.enter(0, frozen())
    assert window.waiting({"a"}) == 0


def test_rows_that_wait_are_bounded_too() -> None:
    window = RowWindow(2, 3)
    for row in range(5):
        window.enter(row, frozen("a"))
    assert window.room({"a"}) == 0
    assert window.room() == -3


def test_a_row_is_active_once() -> None:
    window = RowWindow(2, 0)
    window.enter(0, frozen("a"))
    with pytest.raises(ValueError, match="active already"):
        window.enter(0, frozen("a"))
    window.leave(0)
    with pytest.raises(KeyError):
        window.leave(0)
