"""The competitor's end of the pipe, with cells that are made up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from threading import Event

import pytest

from penstock_bench.competitor_side.progress import Progress
from penstock_bench.competitor_side.server import Cell, serve

Answers = list[Mapping[str, object]]


def count(progress: Progress, *, units: int) -> None:
    progress.begin()
    progress.enqueued(units)
    for _ in range(units):
        progress.units += 1


def fail(progress: Progress) -> None:
    raise RuntimeError("the cell is broken")


CELLS: Mapping[str, Cell] = {"count": count, "fail": fail}


def answers(*requests: Mapping[str, object]) -> Answers:
    given: Answers = []
    serve([json.dumps(request) for request in requests], given.append, CELLS, leave=lambda: None)
    return given


def test_a_cell_that_is_done_says_how_many_units_it_did() -> None:
    (answer,) = answers({"cell": "count", "seconds": 60, "units": 7})

    assert answer["units"] == 7
    assert answer["complete"] is True


def test_a_cell_that_fails_is_an_answer_too_and_the_next_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    failed, done = answers({"cell": "fail", "seconds": 60}, {"cell": "count", "seconds": 60, "units": 1})

    assert failed == {"error": "RuntimeError: the cell is broken"}
    assert done["units"] == 1
    assert "RuntimeError" in capsys.readouterr().err


@pytest.mark.loopback
def test_a_cell_whose_time_is_up_is_answered_with_what_was_done_until_then() -> None:
    was_cut = Event()
    given: Answers = []

    def stuck(progress: Progress) -> None:
        progress.begin()
        progress.units = 3
        assert was_cut.wait(60)

    serve(['{"cell": "stuck", "seconds": 0.01}'], given.append, {"stuck": stuck}, leave=was_cut.set)

    assert given[0]["units"] == 3
    assert given[0]["complete"] is False


@pytest.mark.loopback
def test_units_that_are_done_bear_only_their_share_of_what_was_done_for_all() -> None:
    was_cut = Event()
    given: Answers = []
    began = time.perf_counter()

    def half(progress: Progress) -> None:
        progress.begin()
        Event().wait(0.05)  # for ten units together
        progress.enqueued(10)
        assert was_cut.wait(60)

    def cut(answer: Mapping[str, object]) -> None:
        given.append(answer)
        was_cut.set()

    half(Progress(0.06, cut))

    seconds = given[0]["seconds"]
    assert isinstance(seconds, float)
    assert seconds < time.perf_counter() - began - 0.05, "no unit was done, so none bears a share of the 0.05 s"
