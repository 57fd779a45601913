"""The rows that are over, until they are assembled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_batch.running.results import Results


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with Results(tmp_path) as opened:
        yield opened


def test_rows_that_ended_in_any_order_come_in_that_of_the_input(results: Results) -> None:
    for index in (2, 0, 1):
        assert not results.all_done(3)
        results.done(index, {"n": index})
        assert results.of(index) is not None
    assert results.all_done(3)
    assert not results.all_done(4)
    assert list(results.lines()) == [b'{"n":0}\n', b'{"n":1}\n', b'{"n":2}\n']
    results.done(3, {"n": 3})
    assert list(results.lines())[3] == b'{"n":3}\n'


def test_rows_that_ended_in_order_come_as_they_lie_and_more_may_follow(results: Results) -> None:
    results.done(0, {"n": 0})
    results.done(1, {"n": 1})
    assert list(results.lines()) == [b'{"n":0}\n', b'{"n":1}\n']
    results.done(2, {"n": 2})
    results.done(1, {"n": 10})
    assert list(results.lines()) == [b'{"n":0}\n', b'{"n":10}\n', b'{"n":2}\n']


def test_a_row_that_failed_or_is_open_is_not_done(results: Results) -> None:
    results.done(0, {})
    results.failed(1, "s", "no")
    results.done(3, {})
    assert results.all_done(1)
    assert not results.all_done(2)
    assert not results.all_done(4)
    results.done(1, {})
    assert results.all_done(2)


def test_what_there_was_no_room_for_is_given_up_in_peace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has its own words for a full disk; nobody is to read these rows any more."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115
    with Results(tmp_path) as results:
        results.done(0, {"id": 1})
