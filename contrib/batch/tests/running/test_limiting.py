"""What limits a run, as seen at one look."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_batch.running.limiting import Limits, ModelMoment, Moment, limited_by

FULL = ModelMoment(in_flight=16, waiting=90, cap=16)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("max_parallel_requests of p/m", {"models": {"p/m": FULL}}),
    ("the limit of p/m", {"models": {"p/m": ModelMoment(4, 90, cap=16, limit=4)}}),
    ("the limit of p/m", {"models": {"p/m": ModelMoment(9, 90, cap=16, limit=10)}}),  # a place has just become free
    ("max_parallel_requests of p/m", {"models": {"p/m": ModelMoment(0, 5, cap=1)}}),
    ("the cooldown of p/m", {"models": {"p/m": ModelMoment(0, 90, cap=16, limit=4, cooldown=2.0)}}),
    ("the rate of p/m", {"models": {"p/m": ModelMoment(1, 90, at_gate=3, cap=16, limit=16)}}),
    ("max_parallel_requests of p/m", {"models": {"p/m": FULL, "p/n": ModelMoment(4, 2, cap=4)}}),
    ("this processor", {"models": {"p/m": FULL}, "loop": 0.95}),
    ("this processor", {"loop": 0.9, "python": {"made": 1}, "threads": 0.05}),
    ("your Python step made", {"loop": 0.1, "threads": 0.9, "python": {"made": 3, "other": 1}}),
    ("this processor", {"loop": 0.4, "threads": 0.6}),
    ("your Python step made", {"loop": 0.95, "inside": {"made": 0.6, "other": 0.1}}),
    ("this processor", {"loop": 0.95, "inside": {"made": 0.2}}),
    ("max_parallel_requests of p/m", {"models": {"p/m": FULL}, "threads": 1.8, "python": {"made": 3}}),
    ("the budget", {"models": {"p/m": ModelMoment(2, 0, cap=16)}, "for_budget": 3}),
    ("your Python step made", {"python": {"made": 4}, "workers": {"made": 4}}),
    ("rows_in_flight", {"models": {"p/m": ModelMoment(3, 0, cap=16)}, "more_rows": True, "room": False}),
    ("the task gate", {"models": {"p/m": ModelMoment(1, 9, cap=16, limit=16)}, "more_rows": True, "room": False}),
    ("the answers of p/n", {"models": {"p/m": ModelMoment(1, cap=16), "p/n": ModelMoment(2, cap=16)}}),
    ("your Python step made", {"python": {"made": 1}, "workers": {"made": 40}}),
    ("reading and writing", {}),
]


@pytest.mark.parametrize(("what", "moment"), CASES)
def test_the_first_that_holds_the_run_back_is_what_limits_it(what: str, moment: dict[str, Any]) -> None:
    assert limited_by(Moment(**moment)) == what


def test_time_is_shared_out_look_by_look() -> None:
    limits = Limits()
    limits.add("this processor", 1.0)
    limits.add("the limit of p/m", 2.0)
    limits.add("this processor", 1.0)
    limits.add("rows_in_flight", 0.004)
    whats, shares = zip(*limits.shares(), strict=True)
    assert whats == ("the limit of p/m", "this processor")
    assert shares == pytest.approx((0.5, 0.5), abs=0.01)
    assert Limits().shares() == []
