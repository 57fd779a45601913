"""The parent of the tests has the protocol's traps: what a careless worker writes is lost on it in the same ways."""

from __future__ import annotations

import pytest

from penstock_worker.testing import Outcome, Parent


@pytest.fixture
def parent() -> Parent:
    """A parent that waits for the answer to `x1`."""
    made = Parent()
    made.read(b'noise\n{"status":"ready"}\n', 0.0)
    made.line("x1")
    return made


def test_what_comes_before_the_worker_is_ready_is_ignored(parent: Parent) -> None:
    assert (parent.status, parent.warnings) == ("ready", [])


@pytest.mark.parametrize(
    "line",
    [
        b'{"task_id":"x1","result":NaN,"error":null}',
        b'{"task_id":"x1","result":Infinity,"error":null}',
        b'{"task_id":"x1","result":1,"error":{"words":"no"}}',
        b'{"task_id":1,"result":1,"error":null}',
        b'{"task_id":"x2","result":1,"error":null}',
        b'half {"task_id":"x1","result":1,"error":null}',
    ],
)
def test_a_line_that_is_not_quite_right_leaves_the_task_hanging(parent: Parent, line: bytes) -> None:
    parent.read(line + b"\n", 1.0)

    assert parent.pending == {"x1"}
    assert len(parent.warnings) == 1


@pytest.mark.parametrize("error", [b'""', b"null"])
def test_an_empty_error_is_a_success(parent: Parent, error: bytes) -> None:
    parent.read(b'{"task_id":"x1","result":null,"error":' + error + b',"retry":true}\n', 1.0)

    assert parent.outcomes["x1"] == Outcome("success", None, 1.0)


def test_after_a_line_that_is_too_long_nothing_is_read(parent: Parent) -> None:
    parent.read(b"x" * (10 * 1024 * 1024), 1.0)
    parent.read(b'\n{"task_id":"x1","result":1,"error":null}\n', 2.0)

    assert parent.deaf
    assert parent.pending == {"x1"}


def test_what_was_written_just_before_an_exit_is_lost(parent: Parent) -> None:
    parent.read(b'{"task_id":"x1","result":1,"error":null}\n', 1.0)
    parent.exited(0, 1.1)

    assert parent.pending == {"x1"}


def test_what_was_written_in_good_time_is_not(parent: Parent) -> None:
    parent.read(b'{"task_id":"x1",', 1.0)
    parent.read(b'"result":1,"error":null}\n', 1.5)
    parent.exited(0, 2.0)

    assert parent.outcomes["x1"] == Outcome("success", 1, 1.5)
