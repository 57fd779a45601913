"""Connections that no call uses: the last one first, none too old, and not too many."""

from __future__ import annotations

from penstock_wire import IdleConnections


def test_the_one_that_was_used_last_is_used_first() -> None:
    idle: IdleConnections[str] = IdleConnections(10, 30.0)
    for name in ("a", "b", "c"):
        idle.put(name, 0.0)
    assert [idle.take(1.0) for _ in range(4)] == ["c", "b", "a", None]


def test_one_that_was_kept_long_enough_is_not_used_and_is_to_be_closed() -> None:
    idle: IdleConnections[str] = IdleConnections(10, 30.0)
    idle.put("old", 0.0)
    assert idle.take(30.0) is None
    assert idle.put("new", 31.0) == ["old"]
    assert len(idle) == 1


def test_of_too_many_the_oldest_go() -> None:
    idle: IdleConnections[str] = IdleConnections(2, 30.0)
    assert [idle.put(name, 0.0) for name in ("a", "b", "c")] == [[], [], ["a"]]
    assert idle.clear() == ["b", "c"]
    assert len(idle) == 0
